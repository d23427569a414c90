import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { Progress } from '../../../gateway/cli/progress.ts';

function out(isTTY: boolean): { written: string; readonly isTTY: boolean; write(text: string): boolean } {
  return {
    written: '',
    isTTY,
    write(text) {
      this.written += text;
      return true;
    },
  };
}

const text = (done: number, all: number): string => `${done} of ${all}`;

test('a bar is drawn on a terminal where work takes long, and is gone in the end', async () => {
  const terminal = out(true);
  {
    using progress = new Progress({}, text, terminal);
    progress.show(1, 60);
    assert.equal(terminal.written, '', 'too soon for a bar');
    while (terminal.written === '') {
      await setTimeout(20);
      progress.show(20, 60);
    }
    assert.equal(terminal.written, `\r[${'#'.repeat(10)}${'.'.repeat(20)}]  33 %  20 of 60\x1b[K`);
    terminal.written = '';
    for (let i = 0; i < 1000; i += 1) progress.show(21, 60);
    assert.ok(terminal.written.length < 500, 'drawn too often');
    terminal.written = '';
    progress.say('by the way');
    assert.equal(terminal.written, '\r\x1b[Kby the way\n');
    while (terminal.written.endsWith('\n')) {
      await setTimeout(20);
      progress.show(70, 60);
    }
    assert.ok(terminal.written.endsWith(`\n\r[${'#'.repeat(30)}] 100 %  70 of 60\x1b[K`), terminal.written);
    terminal.written = '';
  }
  assert.equal(terminal.written, '\r\x1b[K');
});

test('there is none for a pipe or for who reads JSON', async () => {
  for (const [options, stream] of [
    [{}, out(false)],
    [{ json: true }, out(true)],
  ] as const) {
    using progress = new Progress(options, text, stream);
    await setTimeout(500);
    progress.show(1, 2);
    progress.say('words');
    assert.equal(stream.written, 'words\n');
  }
});
