/** Whether a gateway's SSH port is open all the while. */
import { connect } from 'node:net';
import type { Gateway } from './gateway.ts';

/** Connects again and again; what becomes of each is counted. `cut`: closed before it was greeted. */
export class Knocking {
  readonly counts = { greeted: 0, refused: 0, cut: 0 };
  readonly #gateway: Gateway;
  readonly #done: Promise<void>;
  #going = true;

  constructor(gateway: Gateway) {
    this.#gateway = gateway;
    this.#done = this.#knock();
  }

  async stop(): Promise<void> {
    this.#going = false;
    await this.#done;
  }

  async #knock(): Promise<void> {
    while (this.#going) {
      this.counts[await this.#once()] += 1;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  #once(): Promise<keyof Knocking['counts']> {
    return new Promise((resolve) => {
      const socket = connect(this.#gateway.sshPort, this.#gateway.host);
      socket.once('data', () => {
        resolve('greeted');
        socket.destroy();
      });
      socket.once('error', (error: NodeJS.ErrnoException) =>
        resolve(error.code === 'ECONNREFUSED' ? 'refused' : 'cut'),
      );
      socket.once('close', () => resolve('cut'));
    });
  }
}
