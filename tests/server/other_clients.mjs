// What OpenAI's client for Node and Vercel's AI SDK get of a server: `node other_clients.mjs URL
// PICTURE`. Prints an object: name of a call -> base64 of its pictures, or what it says.
import { readFile } from "node:fs/promises";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateImage } from "ai";
import OpenAI, { toFile } from "openai";

const [, , baseURL, picture] = process.argv;
const client = new OpenAI({ baseURL, apiKey: "none", maxRetries: 0 });
const asked = { prompt: "a cat", size: "64x64", seed: 7, num_inference_steps: 3 };
const file = async () => toFile(await readFile(picture), "a.png", { type: "image/png" });
const packed = (answer) => answer.data.map((one) => one.b64_json);
const found = {};

found.generate = packed(await client.images.generate(asked));
found.several = packed(await client.images.generate({ ...asked, n: 3 }));
found.webp = packed(await client.images.generate({ ...asked, output_format: "webp" }));
found.edit = packed(await client.images.edit({ ...asked, image: await file() }));
found.streamed = [];
found.partials = 0;
for await (const event of await client.images.generate({ ...asked, stream: true, partial_images: 2 })) {
  if (event.type === "image_generation.completed") found.streamed.push(event.b64_json);
  else found.partials += 1;
}
found.models = [];
for await (const one of client.models.list()) found.models.push(one.id);
found.refused = await client.images.generate({ ...asked, size: "7x7" }).then(
  () => "accepted",
  (error) => `${error.constructor.name} ${error.status}`,
);

const provider = createOpenAICompatible({ name: "jaxsd", baseURL, apiKey: "none" });
const options = { jaxsd: { seed: 7, num_inference_steps: 3 } };
const common = { model: provider.imageModel("tiny"), size: "64x64", providerOptions: options, maxRetries: 0 };
const made = async (prompt, n) =>
  (await generateImage({ ...common, prompt, n })).images.map((one) => one.base64);
found.sdk = await made("a cat", 1);
found.sdkSeveral = await made("a cat", 3);
found.sdkEdit = await made({ text: "a cat", images: [await readFile(picture)] }, 1);
console.log(JSON.stringify(found));
