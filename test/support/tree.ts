/** Folders with files of every awkward kind, and their checksums. */
import { createHash, randomBytes } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join, relative } from 'node:path';

/** SHA-256 of a file, lower-case hex, read in pieces. */
export function digestFile(file: string): string {
  return createHash('sha256').update(readFileSync(file)).digest('hex');
}

/** Writes `bytes` random bytes; returns the file's name. */
export function randomFile(file: string, bytes: number): string {
  const handle = openSync(file, 'w');
  for (let left = bytes; left > 0; left -= 4_194_304)
    writeSync(handle, randomBytes(Math.min(left, 4_194_304)));
  closeSync(handle);
  return file;
}

/** A tree of `files` small files in nested folders, among them an empty one, odd names and modes. */
export function makeTree(root: string, files: number): void {
  for (let index = 0; index < files; index += 1) {
    const folder = join(root, `folder ${index % 7}`, `depth-${index % 3}`);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, `file-${index}`), randomBytes((index * 137) % 9000));
  }
  mkdirSync(root, { recursive: true });
  writeFileSync(join(root, 'empty'), '');
  writeFileSync(join(root, "grüße 'quoted' € 😀.txt"), 'unicode\n');
  writeFileSync(join(root, 'script'), '#!/bin/sh\necho run\n');
  chmodSync(join(root, 'script'), 0o750);
}

/** Path and checksum of every file below `root`, sorted: equal trees give equal lists. */
export function treeDigest(root: string): string[] {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .map((file) => `${relative(root, file)} ${digestFile(file)}`)
    .sort();
}
