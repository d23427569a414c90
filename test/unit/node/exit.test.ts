import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';

test('a process that ends at once has its last lines in the log, and its exit code', () => {
  const exit = JSON.stringify(join(import.meta.dirname, '../../../gateway/node/exit.ts'));
  const source = `
    import { pino } from 'pino';
    import { exitNow } from ${exit};
    const log = pino(pino.destination(2));
    for (let line = 0; line < 50; line += 1) log.warn('line ' + line);
    exitNow(1);`;
  const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', source], {
    encoding: 'utf8',
    cwd: import.meta.dirname,
  });
  assert.equal(status, 1);
  assert.match(stderr, /line 49/);
});
