"""The words of instructions: names of effects, degrees, and what people wrap around them, in two languages."""

from imageops.editing.effects import Effect

# English: regular expressions of whole words; the longest match counts.
ENGLISH: dict[Effect, str] = {
    Effect.WATERCOLOUR: r"water[ -]?colou?rs?(?:ed)?|aquarelle",
    Effect.OIL: r"oil(?:[ -]?paint(?:ing|ed)?)?|oils|impasto",
    Effect.CARTOON: r"cartoon(?:s|ish|ized?|ify)?|comics?(?: book)?|anime|manga|cel[ -]shad(?:ed|ing)",
    Effect.SKETCH: r"(?:pencil |charcoal )?sketch(?:ed)?|pencils?(?: drawing)?|line[ -](?:art|drawing)",
    Effect.GREY: r"black[ -](?:and|&)[ -]white|b ?& ?w|gr[ae]y[ -]?scale|gr[ae]y"
    r"|monochrom(?:e|atic)|desaturate completely",
    Effect.SEPIA: r"sepia|vintage|retro|nostalgic|old[ -](?:photo(?:graph)?|fashioned)|aged",
    Effect.INVERT: r"invert(?:ed)?(?: (?:the )?colou?rs)?|negative",
    Effect.WARMER: r"warm(?:er|th)?(?: (?:it )?up)?|less (?:cold|cool)",
    Effect.COOLER: r"cool(?:er)?(?: (?:it )?down)?|cold(?:er)?|less warm",
    Effect.BRIGHTER: r"bright(?:er|en|ened)?(?: up)?|light(?:er|en)|less dark"
    r"|(?:increase|raise|more|higher|boost)(?: the)? (?:brightness|exposure)|turn up the brightness",
    Effect.DARKER: r"dark(?:er|en|ened)?|dim(?:mer|med)?|less bright"
    r"|(?:decrease|reduce|lower|less)(?: the)? (?:brightness|exposure)|turn down the brightness",
    Effect.VIVID: r"vivid|vibrant|saturated?|colou?rful|more saturation|less (?:muted|pale)|pop"
    r"|(?:increase|raise|higher|boost|enhance)(?: the)? (?:colou?r )?saturation|(?:boost|enhance)(?: the)? colou?rs",
    Effect.MUTED: r"muted?|desaturated?|pale|pastel|faded|less (?:vivid|vibrant|saturated|colou?rful|saturation)"
    r"|(?:decrease|reduce|lower)(?: the)? (?:colou?r )?saturation",
    Effect.CONTRAST: r"(?:increase|raise|more|higher|high|stronger|boost|enhance|add)(?: the)? contrast"
    r"|contrasty|punchy",
    Effect.FLAT: r"(?:decrease|reduce|less|lower|low)(?: the)? contrast",
    Effect.SHARPER: r"sharp(?:er|en|ened)?|crisp(?:er)?|clear(?:er)?|(?:increase|more)(?: the)? sharpness",
    Effect.SOFTER: r"blur(?:red|ry)?|soft(?:er|en)?(?: focus)?|less sharp",
    Effect.SMOOTHER: r"denois(?:e|ed)|smooth(?:er|en)?|less (?:noisy|noise|grain|grainy)"
    r"|(?:remove|reduce|clean up)(?: the)? (?:noise|grain)|noise (?:reduction|removal)",
    Effect.BLURRED_BACKGROUND: r"(?:blur|defocus|soften)(?:red)?(?: out)?(?: the)? background"
    r"|background blur(?:red|ry)?|bokeh|shallow depth of field|portrait mode|background out of focus",
    Effect.MIRRORED: r"mirror(?:ed)?|flip(?:ped)? (?:it )?(?:horizontally|left to right)"
    r"|horizontal(?:ly)? flip(?:ped)?",
    Effect.FLIPPED: r"upside[ -]down|flip(?:ped)? (?:it )?vertically|vertical(?:ly)? flip(?:ped)?",
    Effect.PIXELS: r"pixel(?:ate|ated|ized?|s)?(?: art)?|8[ -]bit|mosaic",
    Effect.VIGNETTE: r"vignett(?:e|ed|ing)|dark(?:en|er)?(?: the)? (?:corners|edges)",
}

# Chinese has no spaces: plain phrases, simplified, and traditional where it differs.
CHINESE: dict[Effect, str] = {
    Effect.WATERCOLOUR: "水彩",
    Effect.OIL: "油画 油畫",
    Effect.CARTOON: "卡通 动漫 動漫 漫画 漫畫 动画 動畫 二次元",
    Effect.SKETCH: "素描 铅笔 鉛筆 线稿 線稿 速写 速寫 简笔",
    Effect.GREY: "黑白 灰度 灰阶 灰階 灰色 单色 單色 去色",
    Effect.SEPIA: "怀旧 懷舊 复古 復古 老照片 旧照片 泛黄 发黄 棕褐色 老旧",
    Effect.INVERT: "反色 反转颜色 颜色反转 色彩反转 反转色彩 负片 負片 反相 底片",
    Effect.WARMER: "温暖 溫暖 暖色调 暖色 偏暖 暖 提高色温",
    Effect.COOLER: "冷色调 冷色 偏冷 冷 清冷 降低色温",
    Effect.BRIGHTER: ("提亮 明亮 亮 提高亮度 增加亮度 提升亮度 增强亮度 亮度提高 亮度增加 提高曝光 增加曝光"),
    Effect.DARKER: "昏暗 暗 压暗 降低亮度 减少亮度 减小亮度 亮度降低 降低曝光 减少曝光",
    Effect.VIVID: (
        "鲜艳 鮮艷 艳丽 浓郁 饱和 提高饱和度 增加饱和度 提升饱和度 增强饱和度 饱和度提高 饱和度增加 色彩丰富"
    ),
    Effect.MUTED: "淡雅 素雅 褪色 降低饱和度 减少饱和度 减小饱和度 饱和度降低 色彩柔和 柔和的色彩",
    Effect.CONTRAST: (
        "提高对比度 增加对比度 增强对比度 提升对比度 加强对比度 加强对比 增强对比 高对比度 "
        "对比强烈 对比度提高 对比度增强"
    ),
    Effect.FLAT: "降低对比度 减少对比度 减弱对比度 减小对比度 低对比度 对比度降低",
    Effect.SHARPER: "锐化 銳化 清晰 锐利",
    Effect.SOFTER: "模糊 柔焦 朦胧",
    Effect.SMOOTHER: "降噪 去噪点 去噪 去除噪点 去除噪声 减少噪点 平滑 去颗粒",
    Effect.BLURRED_BACKGROUND: "模糊背景 背景模糊 背景虚化 背景虛化 虚化背景 虛化背景 浅景深 景深 大光圈",
    Effect.MIRRORED: "镜像 鏡像 左右翻转 水平翻转 左右镜像 水平镜像 左右颠倒 镜像翻转 左右镜像翻转",
    Effect.FLIPPED: "上下翻转 垂直翻转 上下颠倒 上下镜像 垂直镜像 倒过来",
    Effect.PIXELS: "像素化 像素画 像素 马赛克 馬賽克",
    Effect.VIGNETTE: "暗角 晕影 压暗四角 四角变暗",
}

SLIGHT = r"slight(?:ly)?|a (?:little(?: bit)?|bit|touch|tad)|somewhat|gently|subtly|subtle"
STRONG = r"very|much|a lot|strong(?:ly)?|significantly|dramatic(?:ally)?|extremely|really|heavily|greatly|highly"
SLIGHT_CHINESE = "稍微 略微 稍稍 轻微 微微 略 稍 一点点 一点 一些 少许 有点 適度 适度"
STRONG_CHINESE = "非常 特别 大幅度 大幅 强烈 明显 很多 许多 极其 极 十分 很 显著 大大 超级 重度"

FILLERS = """
a about add again all also always an any apply are art artistic artwork as at be beautiful become by can change
color colored colors colour coloured colours convert could create do drawing drawn edit effect entire everything
feel feeling filter for from full give hand handdrawn handpainted have help hue i image in into is it its kindly let
like little look looking looks made make me mode more my need nice of on only our overall paint painted painting
photo photograph photographic pic picture please process put redraw render rendered repaint same scene set should so
some style styled stylise stylize temperature that the this to tone tones transform turn up us use using version
want we whole with would you your
"""
FILLERS_CHINESE = """
请 請 帮我 帮忙 麻烦 我想要 我想 我要 想要 希望 能不能 能否 可以 可否 给我 给 将 將 把 让 讓
使其 使 对 為 为 这张 這張 这幅 这个 这 那张 该 此 整张 整幅 整个 整体 全部 全图 一张 一幅
一个 一副 图片 圖片 图像 圖像 照片 相片 图画 画面 画作 原图 图 圖 像 画 畫 它 其 我的 我 的
地 得 了 吧 吗 呢 啊 转换 轉換 转化 转变 转为 转成 转 轉 变换 变成 變成 变为 變為 变得 变
變 改成 改为 改变 改 换成 处理成 處理成 处理 處理 制作成 制作 做成 做 弄成 弄 生成 渲染成 渲染
绘制成 绘制 绘成 画成 调成 调整 调节 调得 调 調整 調 设为 设置 加上 添加 增添 加入 加 应用
使用 用 以 成 到 至 更加 更为 更 再 些 点 點 一下 下 风格 風格 画风 样式 效果 特效 滤镜
濾鏡 色调 色調 色彩 颜色 顏色 色 感觉 感 质感 版本 版 形式 模式 看起来 看上去 呈现 显得 具有
有 是 手绘 艺术 氛围 光线 进行 一种 那种 种 样子 样 美丽 漂亮 好看 整 提高 增加 增强 变化
画笔 化 翻转 翻轉 做出 弄得 显 出 它们 这里 大家 最 具 那
"""

SEPARATORS = r"[,，.。;；:：!！?？、|/\n]+|\b(?:and|then|plus|also|after that|finally|next|with)\b"
SEPARATORS_CHINESE = "并且 並且 然后 然後 同时 同時 而且 接着 最后 以及 再 并 並 和 且 与 跟 后"
