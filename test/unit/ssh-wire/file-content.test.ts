import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FileContent, WaitingRoom } from '../../../gateway/ssh/wire/file-content.ts';
import { sha256, sha256Of } from '../../support/replay.ts';

const MEGABYTE = 1024 * 1024;

function passed(content: FileContent, offset: number, bytes: Uint8Array): void {
  content.begin(offset, bytes.length);
  content.push(bytes);
  content.end();
}

/** Whether nothing takes any of it. */
function isFree(room: WaitingRoom): boolean {
  return room.take(4 * MEGABYTE - 256);
}

test('what waits is bounded over all files of a session, and given back', () => {
  const room = new WaitingRoom();
  const [first, second, third] = [0, 1, 2].map(() => new FileContent(room, sha256));
  assert.ok(first !== undefined && second !== undefined && third !== undefined);
  passed(first, 0, Buffer.from('a'));
  passed(first, 2, new Uint8Array(3 * MEGABYTE));
  passed(second, 2, new Uint8Array(2 * MEGABYTE));
  assert.deepEqual(second.finish(), { unhashed: 'resumed' });
  passed(first, 1, Buffer.from('b'));
  assert.deepEqual(first.finish(), {
    sha256: sha256Of(Buffer.concat([Buffer.from('ab'), Buffer.alloc(3 * MEGABYTE)])),
  });
  passed(third, 1, new Uint8Array(3 * MEGABYTE));
  third.lose('write failed');
  assert.ok(isFree(room));
});

test('what many small pieces take beside their bytes is bounded, too', () => {
  const content = new FileContent(new WaitingRoom(), sha256);
  for (const start of [0, 2, 1])
    for (let at = start; at < 40_000; at += start === 0 ? 40_000 : 2) passed(content, at, Buffer.from('a'));
  assert.deepEqual(content.finish(), { unhashed: 'random access' });
});

test('a file of which nothing passed is empty', () => {
  assert.deepEqual(new FileContent(new WaitingRoom(), sha256).finish(), { sha256: sha256Of('') });
});

test('what comes after the digest is only counted', () => {
  const room = new WaitingRoom();
  const content = new FileContent(room, sha256);
  passed(content, 0, Buffer.from('a'));
  assert.deepEqual(content.finish(), { sha256: sha256Of('a') });
  passed(content, 1, Buffer.from('b'));
  passed(content, 3, Buffer.from('d'));
  assert.equal(content.bytes, 3);
  assert.ok(isFree(room));
});

test('a piece that was cut off leaves no digest', () => {
  for (const offset of [0, 5]) {
    const room = new WaitingRoom();
    const content = new FileContent(room, sha256);
    content.begin(offset, 10);
    content.push(Buffer.from('abc'));
    assert.deepEqual(content.finish(), { unhashed: 'cut off' });
    content.push(Buffer.from('def'));
    assert.ok(isFree(room));
  }
});
