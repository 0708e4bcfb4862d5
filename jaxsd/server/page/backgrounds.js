// Backgrounds that are drawn: functions of a pen, a size and two colours.

const TURN = 2 * Math.PI;

function fill(pen, width, height, colour) {
  pen.fillStyle = colour;
  pen.fillRect(0, 0, width, height);
}

function plain(pen, width, height, [first]) {
  fill(pen, width, height, first);
}

function gradient(pen, width, height, [first, second]) {
  const fade = pen.createLinearGradient(0, 0, width, height);
  fade.addColorStop(0, first);
  fade.addColorStop(1, second);
  fill(pen, width, height, fade);
}

function glow(pen, width, height, [first, second]) {
  const [x, y] = [width / 2, height * 0.4];
  const fade = pen.createRadialGradient(x, y, 0, x, y, Math.hypot(width, height) * 0.6);
  fade.addColorStop(0, second);
  fade.addColorStop(1, first);
  fill(pen, width, height, fade);
}

function stripes(pen, width, height, [first, second]) {
  fill(pen, width, height, first);
  const step = Math.max(width, height) / 14;
  pen.fillStyle = second;
  for (let x = -height; x < width; x += 2 * step) {
    pen.beginPath();
    pen.moveTo(x, height);
    pen.lineTo(x + step, height);
    pen.lineTo(x + step + height, 0);
    pen.lineTo(x + height, 0);
    pen.fill();
  }
}

function dots(pen, width, height, [first, second]) {
  fill(pen, width, height, first);
  const step = Math.max(width, height) / 18;
  pen.fillStyle = second;
  for (let row = 0; row * step < height + step; row++) {
    for (let x = (row % 2) * (step / 2); x < width + step; x += step) {
      pen.beginPath();
      pen.arc(x, row * step, step / 6, 0, TURN);
      pen.fill();
    }
  }
}

function rays(pen, width, height, [first, second]) {
  fill(pen, width, height, first);
  const [x, y, far, count] = [width / 2, height / 2, width + height, 18];
  pen.fillStyle = second;
  for (let i = 0; i < count; i++) {
    pen.beginPath();
    pen.moveTo(x, y);
    pen.arc(x, y, far, (i / count) * TURN, ((i + 0.5) / count) * TURN);
    pen.fill();
  }
}

function waves(pen, width, height, [first, second]) {
  fill(pen, width, height, first);
  pen.fillStyle = second;
  pen.globalAlpha = 0.4;
  for (let i = 0; i < 3; i++) {
    const base = height * (0.58 + 0.14 * i);
    pen.beginPath();
    pen.moveTo(0, height);
    for (let x = 0; x <= width; x += width / 60) {
      pen.lineTo(x, base + Math.sin((x / width) * TURN * 1.5 + 2 * i) * height * 0.06);
    }
    pen.lineTo(width, height);
    pen.fill();
  }
  pen.globalAlpha = 1;
}

// The same pieces each time: a sequence that fills the square evenly (R2, Roberts 2018).
function confetti(pen, width, height, [first, second]) {
  fill(pen, width, height, first);
  const side = Math.max(width, height) / 60;
  pen.fillStyle = second;
  for (let i = 1; i <= 120; i++) {
    pen.save();
    pen.translate(((i * 0.7549) % 1) * width, ((i * 0.5698) % 1) * height);
    pen.rotate(i * 2.4);
    pen.globalAlpha = 0.45 + 0.5 * ((i * 0.618) % 1);
    if (i % 3) pen.fillRect(-side / 2, -side / 4, side, side / 2);
    else {
      pen.beginPath();
      pen.arc(0, 0, side / 3, 0, TURN);
      pen.fill();
    }
    pen.restore();
  }
}

function squares(pen, width, height, [first, second]) {
  fill(pen, width, height, first);
  const step = Math.max(width, height) / 24;
  pen.strokeStyle = second;
  pen.lineWidth = Math.max(1, step / 20);
  pen.beginPath();
  for (let x = 0; x < width; x += step) {
    pen.moveTo(x, 0);
    pen.lineTo(x, height);
  }
  for (let y = 0; y < height; y += step) {
    pen.moveTo(0, y);
    pen.lineTo(width, y);
  }
  pen.stroke();
}

export const PATTERNS = { plain, gradient, glow, stripes, dots, rays, waves, confetti, squares };
