// The picture of the viewer: zoomed, moved, swiped to the next one, over the whole screen.

const MOST = 8;

/** Make what is in a stage zoomable; `swiped(1 or -1)` asks for the next or the one before. */
export function setUp(stage, swiped) {
  const pointers = new Map();
  let [scale, x, y, start] = [1, 0, 0, null];
  const picture = () => stage.querySelector(".picture");

  function draw() {
    const inner = picture();
    if (!inner) return;
    if (scale <= 1) [scale, x, y] = [1, 0, 0];
    const [w, t] = [(scale - 1) * inner.clientWidth / 2, (scale - 1) * inner.clientHeight / 2];
    x = Math.max(-w, Math.min(w, x));
    y = Math.max(-t, Math.min(t, y));
    inner.style.transform = scale === 1 ? "" : `translate(${x}px, ${y}px) scale(${scale})`;
    stage.classList.toggle("zoomed", scale > 1);
  }

  /** Zoom so that the point of the picture under (clientX, clientY) stays where it is. */
  function zoom(to, clientX, clientY) {
    const inner = picture();
    if (!inner) return;
    const box = inner.getBoundingClientRect();
    const next = Math.max(1, Math.min(MOST, to));
    const [dx, dy] = [clientX - (box.left + box.width / 2), clientY - (box.top + box.height / 2)];
    x += dx * (1 - next / scale);
    y += dy * (1 - next / scale);
    scale = next;
    draw();
  }

  const middle = () => { const box = stage.getBoundingClientRect(); return [box.left + box.width / 2, box.top + box.height / 2]; };
  const apart = ([one, other]) => Math.hypot(one.x - other.x, one.y - other.y);
  const place = (event) => ({ x: event.clientX, y: event.clientY });

  stage.addEventListener("wheel", (event) => {
    if (!picture() || !(event.ctrlKey || scale > 1)) return;
    event.preventDefault();
    zoom(scale * Math.exp(-event.deltaY / 300), event.clientX, event.clientY);
  }, { passive: false });
  stage.addEventListener("dblclick", (event) => zoom(scale > 1 ? 1 : 2.5, event.clientX, event.clientY));
  stage.addEventListener("pointerdown", (event) => {
    if (event.target.closest("video, audio, canvas, button")) return;
    pointers.set(event.pointerId, place(event));
    start = { ...place(event), touch: event.pointerType === "touch", alone: pointers.size === 1, apart: pointers.size === 2 ? apart([...pointers.values()]) : 0, scale };
    if (scale > 1) stage.setPointerCapture(event.pointerId);
  });
  stage.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    pointers.set(event.pointerId, place(event));
    if (pointers.size === 2 && start.apart) {
      const [one, other] = [...pointers.values()];
      zoom(start.scale * apart([one, other]) / start.apart, (one.x + other.x) / 2, (one.y + other.y) / 2);
    } else if (scale > 1) {
      x += event.clientX - before.x;
      y += event.clientY - before.y;
      draw();
    }
  });
  const end = (event) => {
    const known = pointers.delete(event.pointerId);
    if (!known || !start?.touch || !start.alone || scale > 1 || event.type !== "pointerup") return;
    const [dx, dy] = [event.clientX - start.x, event.clientY - start.y];
    if (Math.abs(dx) > 60 && Math.abs(dx) > 2 * Math.abs(dy)) swiped(dx < 0 ? 1 : -1);
  };
  for (const name of ["pointerup", "pointercancel"]) stage.addEventListener(name, end);

  return {
    reset() { scale = 1; pointers.clear(); draw(); stage.classList.remove("zoomed"); },
    turn() { zoom(scale > 1 ? 1 : 2.5, ...middle()); },
    /** A dialog cannot fill the screen; its stage can. */
    fill() { if (document.fullscreenElement) document.exitFullscreen(); else stage.requestFullscreen?.().catch(() => {}); },
  };
}
