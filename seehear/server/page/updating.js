// Index runs: started here, followed by server-sent events.

import { indexJobs, root, startIndex, stopIndex } from "./api.js";
import { $, closable, h } from "./dom.js";

const dialog = closable($("#job"));
const bar = $("progress", dialog);
const COUNTS = ["added", "updated", "moved", "removed", "unchanged", "partial", "without_content", "failed", "skipped"];
let job = null;

/** Start a run (or join the one that runs) and show it; `onDone` is called after it, with what
 * came of it in a sentence; the dialog stays open only where something failed. */
export async function update(onDone) {
  try {
    job = await startIndex();
  } catch (error) {
    if (error.code !== "already_running") throw error;
    job = (await indexJobs()).jobs[0];
  }
  $("#job-failures").replaceChildren();
  show(job);
  dialog.showModal();
  const events = new EventSource(`${root}/v1/index/${job.id}/events`);
  events.addEventListener("progress", (event) => show(JSON.parse(event.data)));
  events.addEventListener("done", (event) => { events.close(); const told = show(JSON.parse(event.data)); if (told.isFine) dialog.close(); onDone(told.text); });
}

$("#job-stop").addEventListener("click", () => { if (job) stopIndex(job.id); });

function show(state) {
  job = state;
  const { progress, report } = state;
  $("#job-stop").hidden = state.state !== "running";
  if (state.state === "running") {
    $("#job-title").textContent = "Updating";
    if (progress?.files_total) { bar.max = progress.files_total; bar.value = progress.files_done; }
    else bar.removeAttribute("value");
    $("#job-says").textContent = told(progress);
    return null;
  }
  bar.max = 1;
  bar.value = 1;
  $("#job-title").textContent = { done: "Up to date", stopped: "Stopped", failed: "Failed" }[state.state];
  $("#job-says").textContent = report
    ? [...COUNTS.filter((n) => report[n]).map((n) => `${report[n]} ${n.replace("_", " ")}`), ...read(report)].join(", ") || "No files have changed."
    : state.error;
  const failures = [...(report?.failures ?? []), ...(report?.read?.failures ?? [])];
  const lines = [...failures.map((f) => `${f.name}: ${f.reason}`), ...(report?.read?.faults ?? [])];
  $("#job-failures").replaceChildren(...lines.map((line) => h("li", {}, line)));
  return { text: `${$("#job-title").textContent}: ${$("#job-says").textContent}`, isFine: state.state === "done" && !lines.length };
}

/** How many files each reader has read, if it had any to read. */
function read(report) {
  return Object.entries(report.read?.readers ?? {})
    .filter(([, one]) => one.files)
    .map(([name, one]) => `${name}: ${one.files} read`);
}

/** What is still to hear and to look at, and about how long that takes. */
function reading(progress) {
  const left = [
    progress.audio_left_s && `${Math.ceil(progress.audio_left_s / 60)} min of sound to hear`,
    progress.images_left && `${progress.images_left} pictures to look at`,
    progress.left_s && `about ${Math.ceil(progress.left_s / 60)} min left`,
  ].filter(Boolean);
  return ["Reading what is said and written …", left.join(", ")].join(" ");
}

/** What a run is doing, in a line: files are counted while they are indexed, and not after that. */
function told(progress) {
  const stage = progress?.stage ?? "scan";
  if (stage === "scan") return "Looking through the folders …";
  if (stage === "clean") return "Removing files that are gone …";
  if (stage === "read") return reading(progress);
  if (stage !== "encode") return "Preparing search …";
  const rate = progress.files_done ? `, ${progress.files_per_s.toFixed(1)} per second` : "";
  return `${progress.files_done} of ${progress.files_total} files${rate}${progress.current ? `: ${progress.current}` : ""}`;
}
