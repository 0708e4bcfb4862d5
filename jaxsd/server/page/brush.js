// What a brush does on a canvas, and where a pointer or an arrow key leads it.

export const MOVES = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

// A line of a brush from one point to another; with one point, a dot.
export function stroke(canvas, from, to, { size, colour, erase = false }) {
  const pen = canvas.getContext("2d");
  pen.save();
  pen.globalCompositeOperation = erase ? "destination-out" : "source-over";
  Object.assign(pen, { lineCap: "round", lineJoin: "round", lineWidth: size, strokeStyle: colour });
  pen.beginPath();
  pen.moveTo(...from);
  pen.lineTo(to[0] + (from[0] === to[0] && from[1] === to[1] ? 0.01 : 0), to[1]);
  pen.stroke();
  pen.restore();
}

// The place of a pointer in the pixels of a canvas, however large that is shown.
export function placeOf(canvas, event) {
  const box = canvas.getBoundingClientRect();
  return [
    ((event.clientX - box.left) * canvas.width) / box.width,
    ((event.clientY - box.top) * canvas.height) / box.height,
  ];
}
