// Index runs: started here, followed by server-sent events.

import { indexJobs, startIndex, stopIndex } from "./api.js";
import { $, closable, h } from "./dom.js";

const dialog = closable($("#job"));
const bar = $("progress", dialog);
const COUNTS = ["added", "updated", "moved", "removed", "unchanged", "partial", "without_content", "failed", "skipped"];
let job = null;

/** Start a run (or join the one that runs) and show it; `onDone` is called after it. */
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
  const events = new EventSource(`/v1/index/${job.id}/events`);
  events.addEventListener("progress", (event) => show(JSON.parse(event.data)));
  events.addEventListener("done", (event) => { events.close(); show(JSON.parse(event.data)); onDone(); });
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
    return;
  }
  bar.max = 1;
  bar.value = 1;
  $("#job-title").textContent = { done: "Up to date", stopped: "Stopped", failed: "Failed" }[state.state];
  $("#job-says").textContent = report
    ? COUNTS.filter((n) => report[n]).map((n) => `${report[n]} ${n.replace("_", " ")}`).join(", ") || "No files have changed."
    : state.error;
  $("#job-failures").replaceChildren(...(report?.failures ?? []).map((f) => h("li", {}, `${f.name}: ${f.reason}`)));
}

/** What a run is doing, in a line: files are counted while they are indexed, and not after that. */
function told(progress) {
  const stage = progress?.stage ?? "scan";
  if (stage === "scan") return "Looking through the folders …";
  if (stage === "clean") return "Removing files that are gone …";
  if (stage !== "encode") return "Preparing search …";
  const rate = progress.files_done ? `, ${progress.files_per_s.toFixed(1)} per second` : "";
  return `${progress.files_done} of ${progress.files_total} files${rate}${progress.current ? `: ${progress.current}` : ""}`;
}
