/** Finds words in text: SQLite's FTS5, in memory, over the lines that can hold them. */
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { hasWords, type TextEntry } from './entry.ts';

export interface Hit extends TextEntry {
  /** What stands around the words; `text` where that is short. */
  readonly snippet: string;
}

/** Words of a line that a snippet has at most. */
const SNIPPET_WORDS = 16;
const WORDS = /[\p{L}\p{N}\p{Co}\p{M}]+/gu;
const PLAIN = /^[a-z0-9]+$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: what is looked for is anything but ASCII
const BEYOND_ASCII = /[^\x00-\x7f]/;

export class Matcher implements Disposable {
  readonly #db = new DatabaseSync(':memory:');
  readonly #insert: StatementSync;
  readonly #select: StatementSync;
  readonly #query: string;
  /** Each is in every line that matches and is ASCII. */
  readonly #plain: readonly string[];

  /**
   * `text`: words that a line must all have, in any order, each maybe only the beginning of one of the line's;
   * case and accents do not matter. What is no space belongs together: `10.0.0.5`, `/etc/passwd`.
   * Throws RangeError where there is no word in it.
   */
  constructor(text: string) {
    const groups = text.split(/\s+/).filter(hasWords);
    const words = text.match(WORDS);
    if (words === null) throw new RangeError(`there is no word in ${JSON.stringify(text)}`);
    // Quoted, nothing in them is an operator.
    this.#query = groups.map((group) => `"${group.replaceAll('"', ' ')}"*`).join(' ');
    this.#plain = words.map((word) => word.toLowerCase()).filter((word) => PLAIN.test(word));
    // Nothing of a recording may touch a disk.
    this.#db.exec('PRAGMA temp_store = MEMORY');
    this.#db.exec("CREATE VIRTUAL TABLE lines USING fts5 (text, tokenize = 'unicode61')");
    this.#insert = this.#db.prepare('INSERT INTO lines (rowid, text) VALUES (?, ?)');
    this.#select = this.#db.prepare(
      `SELECT rowid AS number, snippet(lines, 0, '', '', '…', ${SNIPPET_WORDS}) AS snippet ` +
        'FROM lines WHERE lines MATCH ? ORDER BY rowid',
    );
  }

  /** Those of the entries that match, in their order. */
  find(entries: readonly TextEntry[]): readonly Hit[] {
    const likely = entries.filter(({ text }) => this.#mayMatch(text));
    if (likely.length === 0) return [];
    this.#db.exec('BEGIN');
    try {
      for (const [number, { text }] of likely.entries()) this.#insert.run(number, text);
      return this.#select.all(this.#query).flatMap(({ number, snippet }) => {
        const entry = likely[Number(number)];
        return entry === undefined ? [] : [{ ...entry, snippet: String(snippet) }];
      });
    } finally {
      this.#db.exec('ROLLBACK');
    }
  }

  [Symbol.dispose](): void {
    this.#db.close();
  }

  /** Spares most lines the index: folding letters beyond ASCII is left to it. */
  #mayMatch(text: string): boolean {
    const folded = text.toLowerCase();
    return this.#plain.every((word) => folded.includes(word)) || BEYOND_ASCII.test(text);
  }
}
