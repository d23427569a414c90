/** Desktops of a real xrdp in a real xfreerdp, through the gateway: all on one invisible display. */
import { exitWord, type RdpClient, xfreerdp } from '../../test/support/freerdp.ts';
import type { Gateway } from '../../test/support/gateway.ts';
import { type Display, startDisplay } from '../../test/support/x11.ts';
import type { Xrdp } from '../../test/support/xrdp.ts';
import { many } from '../load-process.ts';
import { PASSWORD } from '../rdp/jobs.ts';

/** Each brings an X server and a client along: not all of them at the same moment. */
const AT_ONCE = 2;

export class RealDesktops {
  readonly #xrdp: Xrdp;
  readonly #display: Display;
  readonly #clients = new Set<RdpClient>();
  /** Of desktops that did not come up, or ended early. */
  readonly errors: string[] = [];
  /** Were open once. */
  opened = 0;
  #begun = 0;
  #ending = false;

  private constructor(xrdp: Xrdp, display: Display) {
    this.#xrdp = xrdp;
    this.#display = display;
  }

  static async prepare(xrdp: Xrdp): Promise<RealDesktops> {
    return new RealDesktops(xrdp, await startDisplay(1024, 768));
  }

  /** Open now. */
  get count(): number {
    return this.#clients.size;
  }

  /** Opens so many desktops for `users` in turn; resolves when each has its session at xrdp, or has failed. */
  async open(count: number, users: readonly string[], { rdpPort }: Gateway): Promise<void> {
    await many(count, AT_ONCE, async () => {
      this.#begun += 1;
      const number = this.#begun;
      const client = xfreerdp({
        port: rdpPort,
        user: `${users[number % users.length]}+${this.#xrdp.account.name}+xrdp`,
        password: PASSWORD,
        display: this.#display,
      });
      let up = false;
      const ended = client.exited.then((code) => {
        this.#clients.delete(client);
        if (up && !this.#ending) this.errors.push(`via, xfreerdp: ended early: ${exitWord(code)}`);
        if (!up) throw new Error(`${exitWord(code)}: ${client.daemon.output().slice(-500)}`);
      });
      ended.catch(() => {});
      try {
        await Promise.race([this.#xrdp.ready(number), ended]);
        up = true;
        this.opened += 1;
        this.#clients.add(client);
      } catch (error) {
        this.errors.push(`via, xfreerdp: ${String(error).slice(0, 500)}`);
        await client.stop();
      }
    });
  }

  async close(): Promise<void> {
    this.#ending = true;
    await Promise.all([...this.#clients].map((client) => client.stop()));
  }

  async stop(): Promise<void> {
    await this.close();
    await this.#display.stop();
  }
}
