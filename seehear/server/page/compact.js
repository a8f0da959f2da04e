// Composed queries in one line, `2:red car + night - people`, read as the command line reads them.

const TOKENS = /"([^"]*)"|'([^']*)'(?=\s|$)|(\S+)/g;
const WEIGHTED = /^(\d+(?:\.\d+)?):(?!\d)\s*(.+)$/s; // "10:30 train" is a time, "2:red car" a weight

/** The terms [{text, weight, exclude}] of a line, or null for plain words. A last sign waits. */
export function terms(line) {
  const tokens = [...line.matchAll(TOKENS)].map(([, double, single, bare]) => ({ text: double ?? single ?? bare, bare: bare !== undefined }));
  const isSign = ({ text, bare }) => bare && (text === "+" || text === "-");
  if (!tokens.some((token) => isSign(token) || (token.bare && WEIGHTED.test(token.text)))) return null;
  const found = [];
  let [words, exclude] = [[], false];
  const end = () => {
    const text = words.join(" ").trim();
    const [, weight, rest] = text.match(WEIGHTED) ?? [];
    if (text && Number(weight ?? 1)) found.push({ text: rest?.trim() ?? text, weight: Number(weight ?? 1), exclude });
    words = [];
  };
  for (const token of tokens) {
    if (isSign(token)) { end(); exclude = token.text === "-"; } else words.push(token.text);
  }
  end();
  return found;
}

/** What a chip says of a term. */
export const told = ({ text, weight, exclude }) => `${exclude ? "not " : ""}${text}${weight === 1 ? "" : ` ×${weight}`}`;

/** A line of these terms. */
export function line(found) {
  const plain = (text) => (/(^|\s)[+-](\s|$)|^\d+(\.\d+)?:/.test(text) && !text.includes('"') ? `"${text}"` : text);
  return found.map(({ text, weight, exclude }, n) => `${exclude ? "- " : n ? "+ " : ""}${weight === 1 ? "" : `${weight}:`}${plain(text)}`).join(" ");
}
