/**
 * A TCP relay that delivers everything DELAY ms later in each direction, in a process of its own:
 * `delay-relay.ts TARGET_PORT DELAY`. Prints the port of 127.0.0.1 that it listens on.
 *
 * It holds whatever is under way, without a bound: how much that is must be the decision of the
 * peers' own windows, for it is these that a long line puts to the test.
 */
import { connect, createServer, type Socket } from 'node:net';

const [targetPort, delayMs] = process.argv.slice(2).map(Number);
if (targetPort === undefined || delayMs === undefined)
  throw new Error('wants a target port and a delay in ms');

function delay(from: Socket, into: Socket, ms: number): void {
  /** Oldest first; an entry without bytes is the end of the stream. */
  let waiting: { due: number; bytes: Buffer | undefined }[] = [];
  let armed = false;
  const deliver = (): void => {
    const now = performance.now();
    let sent = 0;
    for (const { due, bytes } of waiting) {
      if (due > now) break;
      if (bytes === undefined) into.end();
      else into.write(bytes);
      sent += 1;
    }
    waiting = waiting.slice(sent);
    const next = waiting[0];
    if (next === undefined || armed) return;
    armed = true;
    setTimeout(() => {
      armed = false;
      deliver();
    }, next.due - now);
  };
  const take = (bytes: Buffer | undefined): void => {
    waiting.push({ due: performance.now() + ms, bytes });
    deliver();
  };
  from.on('data', take);
  from.on('end', () => take(undefined));
  from.on('error', () => into.destroy());
}

const server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
  const far = connect({ port: targetPort, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
  delay(near, far, delayMs);
  delay(far, near, delayMs);
});
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  if (address !== null && typeof address === 'object') process.stdout.write(`${address.port}\n`);
});
