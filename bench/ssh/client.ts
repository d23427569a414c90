/** A light SSH client. */
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { Client, type ClientChannel } from 'ssh2';
import type { Endpoint } from './jobs.ts';

/** Resolves when a connection is logged on. */
export async function logOn(endpoint: Endpoint): Promise<Client> {
  const socket = connect({ host: endpoint.host, port: endpoint.port, noDelay: true });
  const client = new Client();
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.once('connect', () => {
      client.once('ready', resolve);
      client.once('error', reject);
      client.once('close', () => reject(new Error('the connection was closed before the log-on')));
      client.connect({
        sock: socket,
        username: endpoint.login,
        privateKey: readFileSync(endpoint.keyFile),
        algorithms: { cipher: ['aes128-gcm@openssh.com'], compress: ['none'] },
        readyTimeout: 60_000,
      });
    });
  });
  client.on('error', () => {});
  return client;
}

/** Resolves with a shell on a terminal; nothing of what it shows is lost before it is read. */
export async function startShell(client: Client): Promise<ClientChannel> {
  return await new Promise((resolve, reject) => {
    client.once('close', () => reject(new Error('the connection was closed before the shell')));
    client.shell({ term: 'xterm-256color', cols: 80, rows: 24 }, (error, channel) =>
      error ? reject(error) : resolve(channel),
    );
  });
}

/** Resolves with the channel of a command. */
export async function startCommand(client: Client, command: string): Promise<ClientChannel> {
  return await new Promise((resolve, reject) => {
    client.once('close', () => reject(new Error('the connection was closed before the command')));
    client.exec(command, (error, channel) => (error ? reject(error) : resolve(channel)));
  });
}
