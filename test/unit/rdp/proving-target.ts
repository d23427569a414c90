/** Targets of the tests' own that ask who is there before RDP begins, with NLA or RDSTLS. */
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import type { TestContext } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { type AcceptedClient, acceptClient } from '../../../gateway/rdp/front/accept.ts';
import { withTpkt } from '../../../gateway/rdp/pdu/tpkt.ts';
import { encodeConnectionConfirm, TpduCode, tpduCode } from '../../../gateway/rdp/pdu/x224.ts';
import { PduStream } from '../../../gateway/rdp/stream/stream.ts';
import { startTcpTarget } from '../../support/faulty-targets.ts';
import { TLS } from './legs.ts';

export interface ProvingTarget {
  readonly port: number;
  /** Those that came as far as RDP's own log-on. */
  readonly clients: readonly AcceptedClient[];
  /** What went wrong, connection by connection. */
  readonly errors: readonly unknown[];
}

/** Says `selected` where the front would say TLS, and runs `prove` once TLS is made. */
class ProvingStream extends PduStream {
  readonly #selected: number;
  readonly #prove: (stream: PduStream) => Promise<void>;

  constructor(socket: Socket, selected: number, prove: (stream: PduStream) => Promise<void>) {
    super(socket);
    this.#selected = selected;
    this.#prove = prove;
  }

  override send(pdu: Uint8Array): void {
    const confirm = pdu[0] === 3 && tpduCode(pdu) === TpduCode.connectionConfirm;
    const negotiation = { kind: 'selected', flags: 0, selectedProtocol: this.#selected } as const;
    super.send(confirm ? withTpkt((writer) => encodeConnectionConfirm(writer, { negotiation })) : pdu);
  }

  override async secure(upgrade: (plain: Socket) => Promise<TLSSocket>): Promise<void> {
    await super.secure(upgrade);
    await this.#prove(this);
  }
}

/** Listens for the time of the test; `behind` follows a log-on that is complete. */
export async function startProvingTarget(
  t: TestContext,
  selected: number,
  prove: (stream: PduStream) => Promise<void>,
  behind: (stream: PduStream, client: AcceptedClient) => void = () => {},
): Promise<ProvingTarget> {
  const clients: AcceptedClient[] = [];
  const errors: unknown[] = [];
  const target = await startTcpTarget((socket) => {
    const stream = new ProvingStream(socket, selected, prove);
    acceptClient(stream, { tls: TLS }).then(
      (client) => {
        clients.push(client);
        behind(stream, client);
      },
      (error: unknown) => {
        errors.push(error);
        socket.destroy();
      },
    );
  });
  t.after(() => target.stop());
  assert.ok(target.port > 0);
  return { port: target.port, clients, errors };
}
