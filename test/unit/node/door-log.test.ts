/** What the log says of connections that were turned away. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import pino from 'pino';
import { DoorLog } from '../../../gateway/node/door-log.ts';

test('the first is told of at once, the rest in sums, and silence costs nothing', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const lines: unknown[] = [];
  const write = (line: string): void => void lines.push(JSON.parse(line).connections);
  const door = new DoorLog(pino({}, { write }));
  for (let i = 0; i < 1000; i += 1) door.turnedAway(i % 2 === 0 ? 'limit' : 'proxy-header', 1);
  assert.deepEqual(lines, [{ limit: 1 }]);
  t.mock.timers.tick(60_000);
  assert.deepEqual(lines.splice(0), [{ limit: 1 }, { limit: 499, 'proxy-header': 500 }]);
  t.mock.timers.tick(600_000);
  assert.deepEqual(lines, []);
  door.turnedAway('limit', 3);
  door.turnedAway('limit', 4);
  door.close();
  assert.deepEqual(lines, [{ limit: 3 }, { limit: 4 }]);
});
