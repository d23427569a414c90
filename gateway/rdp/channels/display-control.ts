/**
 * The dynamic channel `Microsoft::Windows::RDS::DisplayControl` ([MS-RDPEDISP] 2.2).
 *
 * ```text
 * | Type 4 | Length 4 (with this header) | fields |
 * ```
 */
import type { Reader, Writer } from '../pdu/cursor.ts';

/** Lower case: names of channels are compared without regard to case. */
export const DISPLAY_CONTROL_CHANNEL = 'microsoft::windows::rds::displaycontrol';

const TYPE_MONITOR_LAYOUT = 2;
const TYPE_CAPS = 5;
/** MonitorLayoutSize (2.2.2.2): the only one that is defined. */
const MONITOR_BYTES = 40;
/** Windows takes 16; a layout in one DYNVC_DATA has room for 39. */
const MONITORS_MAX = 64;

/** DISPLAYCONTROL_MONITOR_PRIMARY. */
const PRIMARY = 1;

/** DISPLAYCONTROL_CAPS_PDU (2.2.2.1), by the target. */
export interface DisplayCaps {
  readonly type: 'caps';
  readonly maxMonitors: number;
  /** Their product with `maxMonitors` is the most pixels of all monitors together. */
  readonly areaFactorA: number;
  readonly areaFactorB: number;
}

/** DISPLAYCONTROL_MONITOR_LAYOUT_PDU (2.2.2.2), by the client. */
export interface MonitorLayout {
  readonly type: 'layout';
  readonly monitors: readonly Monitor[];
}

/** DISPLAYCONTROL_MONITOR_LAYOUT (2.2.2.2.1). */
export interface Monitor {
  readonly primary: boolean;
  /** Pixels, of the virtual desktop; the primary monitor is at 0, 0. */
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
  /** Millimetres; outside 10 to 10,000 the specification ignores them. */
  readonly physicalWidth: number;
  readonly physicalHeight: number;
  /** Degrees: 0, 90, 180 or 270. */
  readonly orientation: number;
  /** Per cent. */
  readonly desktopScale: number;
  readonly deviceScale: number;
}

export function decodeDisplayControl(reader: Reader): DisplayCaps | MonitorLayout {
  const type = reader.u32le('DISPLAYCONTROL_HEADER.Type');
  const length = reader.u32le('DISPLAYCONTROL_HEADER.Length');
  if (length < 8) reader.fail('DISPLAYCONTROL_HEADER.Length', `is ${length}, less than its header`, 4);
  const body = reader.part('DISPLAYCONTROL body', length - 8);
  if (type === TYPE_CAPS)
    return {
      type: 'caps',
      maxMonitors: body.u32le('DISPLAYCONTROL_CAPS_PDU.MaxNumMonitors'),
      areaFactorA: body.u32le('DISPLAYCONTROL_CAPS_PDU.MaxMonitorAreaFactorA'),
      areaFactorB: body.u32le('DISPLAYCONTROL_CAPS_PDU.MaxMonitorAreaFactorB'),
    };
  if (type === TYPE_MONITOR_LAYOUT) return decodeMonitorLayout(body);
  return reader.fail('DISPLAYCONTROL_HEADER.Type', `is the unknown ${type}`, length);
}

export function encodeDisplayControl(writer: Writer, pdu: DisplayCaps | MonitorLayout): void {
  const start = writer.length;
  writer.u32le(pdu.type === 'caps' ? TYPE_CAPS : TYPE_MONITOR_LAYOUT).u32le(0);
  if (pdu.type === 'caps') {
    writer.u32le(pdu.maxMonitors).u32le(pdu.areaFactorA).u32le(pdu.areaFactorB);
  } else {
    writer.u32le(MONITOR_BYTES).u32le(pdu.monitors.length);
    for (const monitor of pdu.monitors) encodeMonitor(writer, monitor);
  }
  writer.patchU32le(start + 4, writer.length - start);
}

function decodeMonitorLayout(reader: Reader): MonitorLayout {
  const size = reader.u32le('MONITOR_LAYOUT_PDU.MonitorLayoutSize');
  if (size !== MONITOR_BYTES)
    reader.fail('MONITOR_LAYOUT_PDU.MonitorLayoutSize', `is ${size} instead of ${MONITOR_BYTES}`, 4);
  const count = reader.u32le('MONITOR_LAYOUT_PDU.NumMonitors');
  if (count > MONITORS_MAX)
    reader.fail('MONITOR_LAYOUT_PDU.NumMonitors', `is ${count}, more than ${MONITORS_MAX}`, 4);
  const monitors: Monitor[] = [];
  for (let n = 0; n < count; n++) monitors.push(decodeMonitor(reader));
  return { type: 'layout', monitors };
}

function decodeMonitor(reader: Reader): Monitor {
  return {
    primary: (reader.u32le('MONITOR_LAYOUT.Flags') & PRIMARY) !== 0,
    left: reader.i32le('MONITOR_LAYOUT.Left'),
    top: reader.i32le('MONITOR_LAYOUT.Top'),
    width: reader.u32le('MONITOR_LAYOUT.Width'),
    height: reader.u32le('MONITOR_LAYOUT.Height'),
    physicalWidth: reader.u32le('MONITOR_LAYOUT.PhysicalWidth'),
    physicalHeight: reader.u32le('MONITOR_LAYOUT.PhysicalHeight'),
    orientation: reader.u32le('MONITOR_LAYOUT.Orientation'),
    desktopScale: reader.u32le('MONITOR_LAYOUT.DesktopScaleFactor'),
    deviceScale: reader.u32le('MONITOR_LAYOUT.DeviceScaleFactor'),
  };
}

function encodeMonitor(writer: Writer, monitor: Monitor): void {
  writer
    .u32le(monitor.primary ? PRIMARY : 0)
    .u32le(monitor.left >>> 0)
    .u32le(monitor.top >>> 0);
  writer.u32le(monitor.width).u32le(monitor.height);
  writer.u32le(monitor.physicalWidth).u32le(monitor.physicalHeight).u32le(monitor.orientation);
  writer.u32le(monitor.desktopScale).u32le(monitor.deviceScale);
}
