// Writes tests/goldens/layers_model: a small model of layers as TensorFlow.js stores it, with weights of
// 8 bits, and what TensorFlow.js makes of two pictures.
//
//     npm install @tensorflow/tfjs@4.22.0 && node tools/record_layers_model.js
const fs = require("fs");
const tf = require("@tensorflow/tfjs");

const folder = "tests/goldens/layers_model";
const random = (shape, seed) => tf.randomUniform(shape, -1, 1, "float32", seed).arraySync();

async function main() {
  await tf.setBackend("cpu");
  const { layers } = tf;
  const input = tf.input({ shape: [12, 12, 3], name: "input" });
  const norm = (name) => layers.batchNormalization({ name, epsilon: 0.001 });
  let x = layers.zeroPadding2d({ padding: [[0, 1], [0, 1]], name: "pad" }).apply(input);
  x = layers.conv2d({ filters: 4, kernelSize: 3, strides: 2, useBias: false, name: "conv" }).apply(x);
  const first = layers.reLU({ maxValue: 6, name: "relu" }).apply(norm("conv_bn").apply(x));
  x = layers.depthwiseConv2d({ kernelSize: 3, padding: "same", useBias: false, name: "deep" }).apply(first);
  x = layers.reLU({ name: "deep_relu" }).apply(norm("deep_bn").apply(x));
  x = layers.conv2d({ filters: 4, kernelSize: 1, name: "project" }).apply(x);
  x = layers.add({ name: "add" }).apply([first, x]);
  x = layers.averagePooling2d({ poolSize: 3, strides: 3, name: "pool" }).apply(x);
  x = layers.dense({ units: 6, activation: "relu", name: "dense" }).apply(layers.flatten({ name: "flat" }).apply(x));
  x = layers.dense({ units: 5, activation: "softmax", name: "end" }).apply(layers.dropout({ rate: 0.5, name: "drop" }).apply(x));
  const model = tf.model({ inputs: input, outputs: x });

  const bytes = [];
  const weights = model.weights.map((weight, number) => {
    const range = weight.name.includes("variance") ? [0.5, 1.5] : [-1, 1];
    const few = { dtype: "uint8", min: range[0], scale: (range[1] - range[0]) / 255 };
    const values = tf.tensor(random(weight.shape, number)).flatten().arraySync();
    const stored = values.map((value) => Math.round((value + 1) * 127.5));
    weight.write(tf.tensor(stored.map((byte) => byte * few.scale + few.min), weight.shape));
    bytes.push(...stored);
    return { name: weight.originalName, shape: weight.shape, dtype: "float32", quantization: few };
  });
  const { config } = model.toJSON(null, false);
  fs.mkdirSync(folder, { recursive: true });
  const table = {
    modelTopology: { model_config: { class_name: "Model", config } },
    weightsManifest: [{ paths: ["weights.bin"], weights }],
  };
  fs.writeFileSync(`${folder}/model.json`, JSON.stringify(table));
  fs.writeFileSync(`${folder}/weights.bin`, Buffer.from(bytes));

  const pictures = [[7, 9], [12, 12]].map(([height, width], number) =>
    tf.randomUniform([height, width, 3], 0, 256, "int32", 100 + number));
  const results = pictures.map((picture) => {
    const resized = tf.image.resizeBilinear(picture.toFloat().div(255), [12, 12], true);
    return {
      picture: picture.arraySync(),
      resized: resized.arraySync(),
      output: model.predict(resized.expandDims(0)).arraySync()[0],
    };
  });
  fs.writeFileSync(`${folder}/results.json`, JSON.stringify({ tfjs: tf.version.tfjs, results }));
}

main();
