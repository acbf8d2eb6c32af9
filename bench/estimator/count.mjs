// Counts the tokens of every file of corpus/ with o200k_base (the tokenizer of gpt-4o and later) and writes
// tokens.tsv: file, bytes, tokens. `node count.mjs --check` only compares, and fails on a difference.
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { encode } from "gpt-tokenizer/encoding/o200k_base";

const corpus = new URL("corpus/", import.meta.url);
const table = new URL("tokens.tsv", import.meta.url);

const files = (folder) =>
  readdirSync(new URL(folder, corpus), { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? files(`${folder}${entry.name}/`) : [`${folder}${entry.name}`],
  );

const rows = files("")
  .sort()
  .map((file) => {
    const text = readFileSync(new URL(file, corpus), "utf8");
    return `${file}\t${Buffer.byteLength(text)}\t${encode(text).length}\n`;
  })
  .join("");

if (process.argv.includes("--check")) {
  if (readFileSync(table, "utf8") !== rows) {
    console.error("tokens.tsv is not what the tokenizer counts; run `npm run count`");
    process.exit(1);
  }
} else {
  writeFileSync(table, rows);
}
