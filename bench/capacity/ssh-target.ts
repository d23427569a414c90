/**
 * Process entry: an SSH server for many sessions, which need no programs of their own. Its shell echoes
 * each key, and prints some lines when Enter is pressed; `exit` ends it. Its commands are `watch`, lines
 * that scroll by, `bulk`, random bytes at a limited rate, and `true`; SFTP shows an empty folder. Whoever
 * has a key may log on.
 *
 * Argument: the file of its private host key. Says its port as JSON.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import ssh2, { type ServerChannel, type Session, type SFTPWrapper } from 'ssh2';
import { logLine } from '../rdp/content.ts';
import { BULK_BYTES_PER_SECOND, PRINTED_LINES, PROMPT, WATCHED_LINES_PER_SECOND } from './jobs.ts';

const COLUMNS = 78;
const LINES = Array.from({ length: 200 }, (_, n) => `${logLine(n, COLUMNS).trimEnd()}\r\n`);
const PRINTED = `\r\n${LINES.slice(0, PRINTED_LINES).join('')}${PROMPT}`;
/** A tenth of a second of a transfer. */
const PIECE = randomBytes(BULK_BYTES_PER_SECOND / 8);
const PIECE_MS = 125;
const ENTER = 0x0d;

function shell(channel: ServerChannel): void {
  let line = '';
  channel.write(PROMPT);
  channel.on('data', (bytes: Buffer) => {
    for (const byte of bytes) {
      if (byte !== ENTER) {
        line += String.fromCharCode(byte);
        channel.write(Buffer.of(byte));
        continue;
      }
      if (line === 'exit') {
        channel.exit(0);
        channel.end();
        return;
      }
      line = '';
      channel.write(PRINTED);
    }
  });
}

function repeat(channel: ServerChannel, everyMs: number, write: () => boolean): void {
  let room = true;
  channel.on('drain', () => {
    room = true;
  });
  const timer = setInterval(() => {
    if (room) room = write();
  }, everyMs);
  channel.on('close', () => clearInterval(timer));
}

function command(channel: ServerChannel, name: string): void {
  let line = 0;
  if (name === 'bulk') repeat(channel, PIECE_MS, () => channel.write(PIECE));
  else if (name === 'watch')
    repeat(channel, 1000 / WATCHED_LINES_PER_SECOND, () => {
      line += 1;
      return channel.write(LINES[line % LINES.length] ?? '');
    });
  else {
    channel.exit(name === 'true' ? 0 : 127);
    channel.end();
  }
}

function files(sftp: SFTPWrapper): void {
  sftp.on('OPENDIR', (id) => sftp.handle(id, Buffer.of(1)));
  sftp.on('READDIR', (id) => sftp.status(id, ssh2.utils.sftp.STATUS_CODE.EOF));
  sftp.on('CLOSE', (id) => sftp.status(id, ssh2.utils.sftp.STATUS_CODE.OK));
}

function serve(session: Session): void {
  session.on('pty', (accept) => accept?.());
  session.on('shell', (accept) => shell(accept()));
  session.on('exec', (accept, _reject, info) => command(accept(), info.command));
  session.on('sftp', (accept) => files(accept()));
}

const [keyFile = ''] = process.argv.slice(2);
const ssh = new ssh2.Server({ hostKeys: [readFileSync(keyFile)] }, (client) => {
  client.on('error', () => {});
  client.on('authentication', (context) => {
    if (context.method === 'publickey') context.accept();
    else context.reject(['publickey']);
  });
  client.on('session', (accept) => serve(accept()));
});
// A socket of our own: without Nagle's delay, each key echoes at once.
const server = createServer({ noDelay: true }, (socket) => ssh.injectSocket(socket));
server.listen({ port: 0, host: '127.0.0.1', backlog: 1024 }, () => {
  process.stdout.write(`${JSON.stringify({ port: (server.address() as AddressInfo).port })}\n`);
});
