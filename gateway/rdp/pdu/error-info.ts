/** Set Error Info, [MS-RDPBCGR] 2.2.5.1: why the server is about to end the connection. */
import type { Reader, Writer } from './cursor.ts';

/** errorInfo (4), behind a share data header. */
export function decodeErrorInfo(reader: Reader): number {
  return reader.u32le('errorInfo');
}

export function encodeErrorInfo(writer: Writer, code: number): void {
  writer.u32le(code);
}

/** ERRINFO_* codes the gateway sends or acts on itself. */
export const ErrorInfo = {
  none: 0x00,
  rpcInitiatedDisconnect: 0x01,
  rpcInitiatedLogoff: 0x02,
  idleTimeout: 0x03,
  logonTimeout: 0x04,
  disconnectedByOtherConnection: 0x05,
  outOfMemory: 0x06,
  serverDeniedConnection: 0x07,
  serverInsufficientPrivileges: 0x09,
  serverFreshCredentialsRequired: 0x0a,
  rpcInitiatedDisconnectByUser: 0x0b,
  logoffByUser: 0x0c,
} as const;

export interface ErrorInfoText {
  /** As the specification has it, without ERRINFO_. */
  readonly name: string;
  /** For a person; lower case, without a period. */
  readonly words: string;
}

/** What a code means; of an unknown one, its number. */
export function describeErrorInfo(code: number): ErrorInfoText {
  const known = TEXTS.get(code);
  if (known !== undefined) return { name: known[0], words: known[1] };
  const name = `0x${code.toString(16).padStart(8, '0')}`;
  if (code > 0x1000 && code < 0x1200)
    return { name, words: 'the server could not read what the client sent (protocol error)' };
  return { name, words: `the server ended the connection for a reason it gives as ${name}` };
}

const TEXTS: ReadonlyMap<number, readonly [name: string, words: string]> = new Map([
  [0x00, ['NONE', 'no error']],
  [0x01, ['RPC_INITIATED_DISCONNECT', 'an administrator disconnected the session']],
  [0x02, ['RPC_INITIATED_LOGOFF', 'an administrator logged the session off']],
  [0x03, ['IDLE_TIMEOUT', 'the session was idle for longer than the server allows']],
  [0x04, ['LOGON_TIMEOUT', 'the session lasted longer than the server allows']],
  [0x05, ['DISCONNECTED_BY_OTHERCONNECTION', 'another connection took the session over']],
  [0x06, ['OUT_OF_MEMORY', 'the server ran out of memory']],
  [0x07, ['SERVER_DENIED_CONNECTION', 'the server refused the connection']],
  [0x09, ['SERVER_INSUFFICIENT_PRIVILEGES', 'the account may not log on to this server remotely']],
  [0x0a, ['SERVER_FRESH_CREDENTIALS_REQUIRED', 'the server does not accept saved credentials']],
  [0x0b, ['RPC_INITIATED_DISCONNECT_BYUSER', 'the session was disconnected by a tool that its user ran']],
  [0x0c, ['LOGOFF_BY_USER', 'the user logged off']],
  [0x0f, ['CLOSE_STACK_ON_DRIVER_NOT_READY', 'the display driver of the server was not ready in time']],
  [0x10, ['SERVER_DWM_CRASH', 'the desktop window manager of the server failed']],
  [0x11, ['CLOSE_STACK_ON_DRIVER_FAILURE', 'the display driver of the server did not start']],
  [0x12, ['CLOSE_STACK_ON_DRIVER_IFACE_FAILURE', 'the display driver of the server was not usable']],
  [0x17, ['SERVER_WINLOGON_CRASH', 'the logon process of the server failed']],
  [0x18, ['SERVER_CSRSS_CRASH', 'the session process of the server failed']],
  [0x19, ['SERVER_SHUTDOWN', 'the server is shutting down']],
  [0x1a, ['SERVER_REBOOT', 'the server is restarting']],
  [0x100, ['LICENSE_INTERNAL', 'licensing failed inside the server']],
  [0x101, ['LICENSE_NO_LICENSE_SERVER', 'the server found no licence server']],
  [0x102, ['LICENSE_NO_LICENSE', 'no client access licence is available for this server']],
  [0x103, ['LICENSE_BAD_CLIENT_MSG', 'the server got a bad licensing message']],
  [0x104, ['LICENSE_HWID_DOESNT_MATCH_LICENSE', 'the licence was made for another machine']],
  [0x105, ['LICENSE_BAD_CLIENT_LICENSE', 'the licence presented is not valid']],
  [0x106, ['LICENSE_CANT_FINISH_PROTOCOL', 'licensing was not completed']],
  [0x107, ['LICENSE_CLIENT_ENDED_PROTOCOL', 'licensing was ended by the client side']],
  [0x108, ['LICENSE_BAD_CLIENT_ENCRYPTION', 'a licensing message was encrypted wrongly']],
  [0x109, ['LICENSE_CANT_UPGRADE_LICENSE', 'the licence could not be upgraded']],
  [0x10a, ['LICENSE_NO_REMOTE_CONNECTIONS', 'the server is not licensed to accept remote connections']],
  [0x400, ['CB_DESTINATION_NOT_FOUND', 'the connection broker knows no such destination']],
  [0x402, ['CB_LOADING_DESTINATION', 'the connection broker could not prepare the destination']],
  [0x404, ['CB_REDIRECTING_TO_DESTINATION', 'the connection broker could not redirect to the destination']],
  [0x405, ['CB_SESSION_ONLINE_VM_WAKE', 'the virtual machine of the session did not wake up']],
  [0x406, ['CB_SESSION_ONLINE_VM_BOOT', 'the virtual machine of the session did not start']],
  [0x407, ['CB_SESSION_ONLINE_VM_NO_DNS', 'the virtual machine of the session has no known address']],
  [0x408, ['CB_DESTINATION_POOL_NOT_FREE', 'the pool has no free machine']],
  [0x409, ['CB_CONNECTION_CANCELLED', 'the connection was cancelled at the broker']],
  [0x410, ['CB_CONNECTION_ERROR_INVALID_SETTINGS', 'the connection broker found invalid settings']],
  [0x411, ['CB_SESSION_ONLINE_VM_BOOT_TIMEOUT', 'the virtual machine of the session did not start in time']],
  [0x412, ['CB_SESSION_ONLINE_VM_SESSMON_FAILED', 'monitoring the session on its virtual machine failed']],
  [0x10c9, ['UNKNOWN_DATA_PDU_TYPE', 'the server got a PDU of a type it does not know']],
  [0x10ca, ['UNKNOWN_PDU_TYPE', 'the server got a PDU of a type it does not know']],
  [0x10cb, ['DATA_PDU_SEQUENCE', 'the server got a PDU that it did not expect then']],
  [0x10cd, ['CONTROL_PDU_SEQUENCE', 'the server got a control PDU that it did not expect then']],
  [0x10e7, ['CAPABILITY_SET_TOO_SMALL', 'the server got a capability set that is too short']],
  [0x10e8, ['CAPABILITY_SET_TOO_LARGE', 'the server got a capability set that is too long']],
  [0x10ea, ['BAD_CAPABILITIES', 'the server does not accept the capabilities of the client']],
  [0x10ef, ['INVALID_CHANNEL_ID', 'the server got data for a channel that does not exist']],
  [0x10f3, ['REMOTEAPP_NOT_ENABLED', 'the server does not allow RemoteApp']],
  [0x1129, ['BAD_MONITOR_DATA', 'the server does not accept the monitors of the client']],
  [0x112d, ['GRAPHICS_MODE_NOT_SUPPORTED', 'the server cannot show this size or colour depth']],
  [0x112e, ['GRAPHICS_SUBSYSTEM_RESET_FAILED', 'the graphics of the server could not be reset']],
  [0x112f, ['GRAPHICS_SUBSYSTEM_FAILED', 'the graphics of the server failed']],
  [0x1192, ['DECRYPT_FAILED', 'the server could not decrypt what it got']],
]);
