// The service's endpoints. Every failure is a Trouble with a sentence for people.

export class Trouble extends Error {
  constructor(status, code, message, again = 0) {
    super(message);
    Object.assign(this, { status, code, again });
  }
}

/** What the addresses of this service begin with: "" at the root of its host. */
export const root = new URL("..", import.meta.url).pathname.slice(0, -1);

async function call(method, path, { json, form, signal } = {}) {
  let answer;
  try {
    answer = await fetch(root + path, {
      method,
      signal,
      headers: json ? { "content-type": "application/json" } : undefined,
      body: json ? JSON.stringify(json) : form,
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Trouble(0, "offline", "The service does not answer. Check that it is still running.");
  }
  if (answer.ok) return answer.json();
  let told = {};
  try { told = (await answer.json()).error ?? {}; } catch { /* not ours: a proxy's page */ }
  const sentence = told.message ?? `The service failed with error ${answer.status}.`;
  const again = Number(answer.headers.get("retry-after") ?? 0);
  const named = /^\S+\.\w+:/.test(sentence); // a file's name keeps its letters
  throw new Trouble(answer.status, told.code ?? "http", named ? sentence : sentence[0].toUpperCase() + sentence.slice(1), again);
}

const listed = (query) => new URLSearchParams(Object.entries(query).flatMap(([name, value]) => [value].flat().map((one) => [name, one])));

export const status = () => call("GET", "/v1/status");
export const collections = () => call("GET", "/v1/collections");
export const folders = () => call("GET", "/v1/folders");
export const asset = (id) => call("GET", `/v1/assets/${id}`);
export const reveal = (id, open) => call("POST", `/v1/assets/${id}/reveal?open_folder=${open}`);
export const waveform = (id, steps) => call("GET", `/v1/assets/${id}/waveform?steps=${steps}`);
export const explain = (id, text, { start_s, stop_s }) => call("GET", `/v1/assets/${id}/explain?${listed({ text, ...(start_s === null ? {} : { start_s, stop_s }) })}`);
export const session = () => call("GET", "/v1/session");
export const signIn = (token) => call("POST", "/v1/session", { json: { token } });
export const startIndex = () => call("POST", "/v1/index", { json: {} });
export const stopIndex = (id) => call("DELETE", `/v1/index/${id}`);
export const indexJobs = () => call("GET", "/v1/index");

export const browse = (query, signal) => call("GET", `/v1/browse?${listed(query)}`, { signal });
export const browseItems = (query) => call("GET", `/v1/browse/items?${listed(query)}`);
export const suggestions = () => call("GET", "/v1/suggestions");

/** Hits of a query. `files` are [{blob, name}]; the rest is as the JSON of /v1/search. */
export function search(query, files, signal) {
  if (!files.length) return call("POST", "/v1/search", { json: query, signal });
  const form = new FormData();
  for (const [name, value] of Object.entries(query)) {
    if (name === "parts") form.append(name, JSON.stringify(value));
    else for (const one of Array.isArray(value) ? value : [value]) form.append(name, one);
  }
  for (const { blob, name, said } of files) form.append(said ? "say" : "file", blob, name);
  return call("POST", "/v1/search", { form, signal });
}
