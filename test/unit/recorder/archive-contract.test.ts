/** The contract over the sinks that need no server: a folder, and two folders at once. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { openArchives } from '../../../recorder/index.ts';
import { temporaryFolder } from '../../support/temp.ts';
import { archiveContract } from './archive.contract.ts';

const root = temporaryFolder('archive-contract');
let places = 0;

function folder(): string {
  places += 1;
  const path = join(root, `${places}`);
  mkdirSync(path);
  return `file:${path}`;
}

archiveContract('a folder', {
  place: async () => {
    const urls = [folder()];
    return (writer) => openArchives({ urls, writer });
  },
  test,
});

archiveContract('two folders', {
  place: async () => {
    const urls = [folder(), folder()];
    return (writer) => openArchives({ urls, writer });
  },
  test,
});
