// A front end of the points contract: makes pictures from words and from pictures with Node's own fetch.
//
//   node points.mjs <base URL> <token> <photo URL> <poll interval in ms>
//
// Prints one JSON object with what it saw; ends with status 1 when a step did not go as the contract says.

const [baseUrl, token, photoUrl, pollMs] = process.argv.slice(2);

const TEXT_MODELS = {
  auto: "sc_soraimg_text_auto",
  "1:1": "sc_soraimg_text_1x1",
  "2:3": "sc_soraimg_text_2x3",
  "3:2": "sc_soraimg_text_3x2",
};
const IMAGE_MODELS = {
  auto: "sc_soraimg_img2img_auto",
  "1:1": "sc_soraimg_img2img_1x1",
  "2:3": "sc_soraimg_img2img_2x3",
  "3:2": "sc_soraimg_img2img_3x2",
};

class Generator {
  constructor(bearer) {
    this.bearer = bearer;
  }

  // Every answer has a code; anything but 200 is an error with the server's message.
  async #ask(path, options = {}) {
    const response = await fetch(`${baseUrl}${path}`, {
      ...options,
      headers: { "Content-Type": "application/json", Authorization: `Bearer ${this.bearer}` },
    });
    const result = await response.json();
    if (result.code === 200) {
      return result.data;
    }
    throw new Error(result.message);
  }

  async #submit(body) {
    const task = await this.#ask("/user/ai/tasks/submit", { method: "POST", body: JSON.stringify(body) });
    if (task.status !== "created") {
      throw new Error(`a new task is ${task.status}`);
    }
    return task.taskNo;
  }

  generate(prompt, ratio) {
    return this.#submit({ modelName: TEXT_MODELS[ratio], prompt });
  }

  transform(prompt, imageUrl, ratio) {
    return this.#submit({ modelName: IMAGE_MODELS[ratio], prompt, imageUrl });
  }

  // As the document's polling function does: the picture is null where there is none.
  generateWithNull(prompt) {
    return this.#submit({ modelName: TEXT_MODELS["1:1"], prompt, imageUrl: null });
  }

  status(taskNo) {
    return this.#ask(`/user/ai/tasks/${taskNo}`);
  }

  wait(taskNo, timeoutMs = 180000) {
    const begun = Date.now();
    return new Promise((resolve, reject) => {
      const timer = setInterval(async () => {
        try {
          const task = await this.status(taskNo);
          if (task.status === "completed") {
            clearInterval(timer);
            resolve(task.resultUrl);
          } else if (task.status === "failed") {
            clearInterval(timer);
            reject(new Error(task.errorMessage || "任务失败"));
          } else if (Date.now() - begun > timeoutMs) {
            clearInterval(timer);
            reject(new Error("任务超时"));
          }
        } catch (error) {
          clearInterval(timer);
          reject(error);
        }
      }, Number(pollMs));
    });
  }

  async balance() {
    return (await this.#ask("/user/points/consumption/balance")).balance;
  }

  list(query) {
    return this.#ask(`/user/ai/tasks/list?${new URLSearchParams(query)}`);
  }
}

const seen = { balances: [], pictures: {} };
const generator = new Generator(token);
const note = async () => seen.balances.push(await generator.balance());

async function pixels(link) {
  const response = await fetch(link); // No header: the link is the right.
  const bytes = new DataView(await response.arrayBuffer());
  return { type: response.headers.get("content-type"), width: bytes.getUint32(16), height: bytes.getUint32(20) };
}

await note();
const first = await generator.generate("一只可爱的柴犬", "3:2");
await note();
const link = await generator.wait(first);
seen.pictures["3:2"] = await pixels(link);

const second = await generator.transform("转换为卡通Q版风格", photoUrl, "2:3");
await note();
seen.pictures["2:3"] = await pixels(await generator.wait(second));

// A result of ours and a stranger's picture together, as an array in a string.
const third = await generator.transform("结合参考图风格创作新作品", JSON.stringify([link, photoUrl]), "1:1");
await note();
seen.pictures["1:1"] = await pixels(await generator.wait(third));

await generator.wait(await generator.generateWithNull("科幻风格的未来城市"));
await note();
seen.listed = (await generator.list({ page: 1, size: 10, taskType: "image_to_image" })).records.map((one) => one.taskNo);
seen.tasks = [second, third];

seen.refusals = [];
for (const [bearer, ratio] of [["not-a-token", "1:1"], [token, "7:5"]]) {
  await new Generator(bearer).generate("测试prompt", ratio).catch((error) => seen.refusals.push(error.message));
}
console.log(JSON.stringify(seen));
