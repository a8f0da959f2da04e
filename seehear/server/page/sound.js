// Sounds: waveforms drawn, and recordings made with the microphone.

import { waveform } from "./api.js";

const kept = new Map();

/** Peaks of an asset's sound, asked for once. */
export function peaksOf(id) {
  if (!kept.has(id)) {
    kept.set(id, waveform(id, 400).catch((error) => { kept.delete(id); throw error; }));
    if (kept.size > 300) kept.delete(kept.keys().next().value);
  }
  return kept.get(id);
}

/** Draw [from, to) seconds of a waveform as bars; what lies within `lit` is drawn full. */
export function draw(canvas, wave, { from = 0, to = wave.stop_s, lit = null, at = null } = {}) {
  const scale = window.devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth * scale, canvas.clientHeight * scale];
  if (!width || !height) return;
  canvas.width = width;
  canvas.height = height;
  canvas.classList.add("drawn");
  const pen = canvas.getContext("2d");
  const step = 4 * scale;
  const count = Math.floor(width / step);
  const { peaks } = wave;
  const loudest = Math.max(0.02, ...peaks);
  pen.fillStyle = getComputedStyle(canvas).color;
  for (let n = 0; n < count; n += 1) {
    const [a, b] = [from + ((to - from) * n) / count, from + ((to - from) * (n + 1)) / count];
    const first = Math.floor((a / wave.stop_s) * peaks.length);
    const last = Math.max(first + 1, Math.ceil((b / wave.stop_s) * peaks.length));
    const peak = Math.max(0, ...peaks.slice(first, last)) / loudest;
    const tall = Math.max(scale, peak * (height - 4 * scale));
    pen.globalAlpha = !lit || (b > lit[0] && a < lit[1]) ? 1 : 0.35;
    pen.fillRect(n * step, (height - tall) / 2, step - 1.5 * scale, tall);
  }
  if (at !== null) {
    pen.globalAlpha = 1;
    pen.fillRect(((at - from) / (to - from)) * width, 0, 2 * scale, height);
  }
}

/** Record until stopped; resolves to {blob, name}. `onLevel` gets the loudness in [0, 1]. */
export async function record(stop, onLevel, mostSeconds = 30) {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  const context = new AudioContext();
  const meter = context.createAnalyser();
  context.createMediaStreamSource(stream).connect(meter);
  const levels = new Float32Array(meter.fftSize);
  const timer = setInterval(() => {
    meter.getFloatTimeDomainData(levels);
    onLevel(Math.min(1, 4 * Math.hypot(...levels) / Math.sqrt(levels.length)));
  }, 60);
  const recorder = new MediaRecorder(stream);
  const pieces = [];
  recorder.ondataavailable = (event) => pieces.push(event.data);
  const ended = new Promise((resolve) => { recorder.onstop = resolve; });
  recorder.start();
  const end = () => recorder.state === "inactive" || recorder.stop();
  stop.addEventListener("abort", end);
  const limit = setTimeout(end, 1000 * mostSeconds);
  await ended;
  clearTimeout(limit);
  clearInterval(timer);
  for (const track of stream.getTracks()) track.stop();
  await context.close();
  const suffix = recorder.mimeType.includes("mp4") ? "m4a" : recorder.mimeType.includes("ogg") ? "ogg" : "webm";
  return { blob: new Blob(pieces, { type: recorder.mimeType }), name: `recording.${suffix}` };
}
