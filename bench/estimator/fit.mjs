// Fits the costs of src/dialect/estimate/text.rs to the corpus (without corpus/held-out) and prints them in
// parts of 1024: for each pair of byte classes, what its occurrence adds to the number of tokens. Least
// squares over sentences (lines in threes for code), never negative, drawn to a prior where a pair is rare.
import { readFileSync, readdirSync } from "node:fs";
import { encode } from "gpt-tokenizer/encoding/o200k_base";

const RIDGE = 1;
const corpus = new URL("corpus/", import.meta.url);

const classOf = (byte) => {
  const character = String.fromCharCode(byte);
  if (byte === 0x20) return "space";
  if ([9, 10, 13].includes(byte)) return "newline";
  if (/[aeiouy]/.test(character)) return "vowel";
  if (/[a-z]/.test(character)) return "consonant";
  if (/[A-Z]/.test(character)) return "upper";
  if (/[0-9]/.test(character)) return "digit";
  if (byte < 0x80) return "punct";
  if (byte < 0xc0) return "cont";
  const leads = { 0xc2: "latin_sign", 0xe0: "indic", 0xe1: "e1", 0xe2: "sign", 0xe3: "kana", 0xef: "wide" };
  if (leads[byte]) return leads[byte];
  const ends = [[0xcb, "latin"], [0xcd, "combining"], [0xcf, "greek"], [0xd3, "cyrillic"], [0xd7, "hebrew"],
    [0xdf, "arabic"], [0xe9, "han"], [0xee, "hangul"], [0xff, "emoji"]];
  return ends.find(([end]) => byte <= end)[1];
};
const ASCII = ["space", "newline", "vowel", "consonant", "upper", "digit", "punct"];
const LOWER = ["vowel", "consonant"];
const lower = (name) => (LOWER.includes(name) ? "lower" : name);
const isScript = (name) => !ASCII.includes(name) && name !== "cont";

// The row of the table a pair belongs to; undefined where a pair costs nothing.
const rowOf = (before, after) => {
  if (after === "cont") return undefined;
  if (isScript(after)) {
    if (before === "cont") return `cont ${after}`;
    return [...LOWER, "upper"].includes(before) ? `letter ${after}` : `break ${after}`;
  }
  if (LOWER.includes(before) && LOWER.includes(after)) return `${before} ${after}`;
  return `${lower(before)} ${lower(after)}`;
};

const priorOf = (row) => {
  const [before, after] = row.split(" ");
  if (after === "space") return 0.05;
  if (before === "cont" && isScript(after)) return 0.3;
  if (["space", "newline", "break"].includes(before) && ["lower", "upper"].includes(after)) return 0.9;
  if (LOWER.includes(before)) return 0.1;
  return 0.5;
};

const samples = readdirSync(corpus)
  .filter((file) => file.endsWith(".txt"))
  .flatMap((file) => {
    const text = readFileSync(new URL(file, corpus), "utf8");
    const isCode = /rust|python|json|chat/.test(file);
    const parts = text.match(isCode ? /(?:[^\n]*\n){1,3}/g : /[^.!?।。\n]+[.!?।。\n]*\s*/g);
    return parts.filter((part) => part.trim());
  })
  .map((text) => {
    const counts = new Map();
    let before = "newline";
    for (const byte of Buffer.from(text)) {
      const after = classOf(byte);
      const row = rowOf(before, after);
      if (row) counts.set(row, (counts.get(row) ?? 0) + 1);
      before = after;
    }
    const tokens = encode(text).length;
    return { counts, tokens, weight: 1 / (tokens + 3) };
  });

// Coordinate descent on a strictly convex problem: it ends at the one solution.
const rows = [...new Set(samples.flatMap(({ counts }) => [...counts.keys()]))].sort();
const cost = new Map(rows.map((row) => [row, priorOf(row)]));
const rest = samples.map(({ counts, tokens }) => tokens - [...counts].reduce((sum, [row, n]) => sum + n * cost.get(row), 0));
for (let round = 0; round < 5000; round += 1) {
  for (const row of rows) {
    let [slope, curve] = [RIDGE * (priorOf(row) - cost.get(row)), RIDGE];
    samples.forEach(({ counts, weight }, index) => {
      const n = counts.get(row) ?? 0;
      slope += weight * n * rest[index];
      curve += weight * n * n;
    });
    const next = Math.max(0, cost.get(row) + slope / curve);
    samples.forEach(({ counts }, index) => { rest[index] -= (counts.get(row) ?? 0) * (next - cost.get(row)); });
    cost.set(row, next);
  }
}
for (const row of rows) console.log(`${row.padEnd(22)} ${Math.round(cost.get(row) * 1024)}`);
