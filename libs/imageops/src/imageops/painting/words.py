"""The words a prompt may paint with, in English and Chinese.

Each line is a tag and the words that mean it; a word may stand in several lines. The longest word wins,
so that the dusk of 黄昏 is not taken for yellow; English words are found whole, also with a plural s,
and a phrase is written with dashes.
"""

#: Colour words by tag, with lightness, chroma and hue (OKLCH); greys have no hue to turn a palette to.
COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.58, 0.21, 27),
    "orange": (0.74, 0.17, 58),
    "gold": (0.82, 0.15, 85),
    "yellow": (0.89, 0.17, 101),
    "green": (0.66, 0.17, 146),
    "cyan": (0.78, 0.12, 200),
    "blue": (0.56, 0.18, 258),
    "purple": (0.53, 0.20, 303),
    "pink": (0.80, 0.12, 358),
    "brown": (0.47, 0.08, 58),
    "black": (0.22, 0.00, 0),
    "white": (0.96, 0.00, 0),
    "grey": (0.62, 0.00, 0),
}

COLOUR_WORDS = """
red     red crimson scarlet ruby 红 红色 赤 朱
orange  orange amber 橙 橙色 橘 橘色
gold    gold golden 金 金色 金黄
yellow  yellow lemon sunflower 向日葵 黄 黄色
green   green emerald jade 绿 绿色 翠 碧绿
cyan    cyan teal turquoise aqua 青色 湖蓝
blue    blue azure navy sapphire 蓝 蓝色 天蓝
purple  purple violet lavender 薰衣草 lilac indigo magenta 紫 紫色
pink    pink rose-coloured 粉 粉色 粉红
brown   brown chocolate 棕 棕色 褐 咖啡色
black   black 黑 黑色
white   white 白 白色
grey    grey gray silver 灰 灰色 银色
"""

SCENE_WORDS = """
dawn      dawn sunrise morning daybreak 日出 黎明 清晨 早晨 晨 朝霞
sunset    sunset dusk evening twilight 日落 黄昏 夕阳 傍晚 晚霞
night     night midnight nocturnal moonlit starry 夜 夜晚 夜景 星空 深夜 夜空
day       day daytime noon sunny sunlight sunshine 白天 正午 阳光 晴 晴天
mist      mist misty fog foggy haze hazy 雾 薄雾 云雾 烟雨 朦胧
sky       sky 天空 天
cloud     cloud cloudy overcast 云 白云 云海 多云
storm     storm stormy thunder 暴风 雷 风暴
rain      rain rainy drizzle 雨 下雨 雨天
snow      snow snowy winter ice frozen blizzard 雪 冬 冬天 冰 雪山 雪景 下雪
sun       sun 太阳 烈日
moon      moon moonlight moonlit crescent 月 月亮 月光 明月
star      star starlight starry 星 星星 繁星 星空 夜空
aurora    aurora 极光
mountain  mountain alps peak cliff ridge summit valley canyon fuji 山 山水 山脉 山峰 山谷 雪山 峡谷 富士山 群山
hill      hill hills 丘陵 山坡
desert    desert dune dunes sahara 沙漠 沙丘 戈壁
sea       sea ocean beach coast wave waves seaside bay island 海 大海 海洋 海边 海滩 沙滩 海浪 海岸 岛
lake      lake river 山水 湖光 pond stream water reflection 湖 湖泊 河 江 溪 池塘 水 倒影 水面
forest    forest wood woods pine pines jungle 森林 树林 松 丛林 林间
field     field meadow grass grassland prairie farm countryside spring 草原 草地 田野 稻田 原野 乡村 春天 春
flower    flower lavender 薰衣草 sunflower 向日葵 floral rose tulip daisy lily
flower    garden blossom bouquet 花 花朵 玫瑰 郁金香 花海 花园 荷花 百合
sakura    sakura cherry-blossom cherry-tree 樱花 樱花树 桃树 桃花 梅花
tree      tree oak willow 树 大树 柳 樱花树 桃树
autumn    autumn fall maple 秋 秋天 枫 枫叶 红叶
petal     petal petals confetti 花瓣 飘落 落英
city      city skyline skyscraper downtown metropolis street urban tokyo
city      shanghai york 城市 都市 街道 高楼 摩天 上海 天际线 建筑
neon      neon cyberpunk cyber futuristic sci-fi hologram 霓虹 赛博朋克 赛博 科幻 未来
house     house cabin cottage hut village home 房子 小屋 木屋 村庄 房屋 家
temple    temple pagoda shrine palace 寺 塔 亭 宫殿 古建筑 故宫
boat      boat sailboat sail ship yacht 船 帆船 小舟 帆
bird      bird birds crane gull eagle 鸟 飞鸟 鹤 海鸥 鹰 燕子
balloon   balloon balloons 热气球 气球
lantern   lantern lanterns 灯笼 孔明灯 元宵
cat       cat kitten kitty 猫 小猫 猫咪
firefly   firefly 萤火虫
dream     dream dreamy magic magical fairy fantasy bokeh 梦幻 魔法 仙境 奇幻 唯美
space     space galaxy nebula universe cosmos cosmic 宇宙 太空 银河 星云 星系
planet    planet saturn mars 行星 星球 土星
product   product products bottle perfume cosmetics skincare advertisement
product   packaging 产品 商品 主图 电商 香水 化妆品 护肤 瓶
object    object vase cup mug sculpture still-life 静物 花瓶 杯子 雕塑
abstract  abstract pattern background wallpaper texture fluid marble 抽象 图案 背景 壁纸 纹理 流体 大理石
geometric geometric geometry bauhaus mosaic tile 几何 马赛克 包豪斯
papercut  papercut paper-cut layered 剪纸 纸雕 层叠
"""

#: What part of a scene a colour belongs to when it stands right before one of these: "red flowers".
TARGETS: dict[str, tuple[str, ...]] = {
    "sky": ("sky", "cloud", "aurora", "night", "star"),
    "light": ("day", "sun", "dawn", "sunset", "moon", "neon"),
    "flower": ("flower", "petal", "sakura"),
    "leaf": ("tree", "forest", "autumn"),
    "water": ("sea", "lake"),
    "land": ("mountain", "hill", "desert", "field", "snow"),
    "thing": ("cat", "boat", "balloon", "house", "lantern", "bird", "temple", "product", "object", "planet"),
}

#: The styles of the public contracts and their everyday names; each is a treatment in `styles`.
STYLE_WORDS = """
explore     探索无限
guofeng     古风 国风 国画 水墨 水墨画 中国风 ink chinese-painting
anime       二次元 动漫 动画 anime manga
photo       写实风格 写实 摄影 photo photograph photography photographic realistic photorealistic
ukiyoe      浮世绘 ukiyo-e ukiyoe
lowpoly     低多边形 low-poly lowpoly
futurism    未来主义 futurism
pixel       像素风格 像素 像素画 pixel pixel-art 8-bit
concept     概念艺术 concept-art
cyberpunk   赛博朋克 cyberpunk
lolita      洛丽塔风格 洛丽塔 lolita
baroque     巴洛克风格 巴洛克 baroque
surreal     超现实主义 超现实 surreal surrealism
watercolour 水彩画 水彩 watercolour watercolor
vaporwave   蒸汽波艺术 蒸汽波 vaporwave synthwave
oil         油画 oil-painting oil
cartoon     卡通画 卡通 cartoon
"""
