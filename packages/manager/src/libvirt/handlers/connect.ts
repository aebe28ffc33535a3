import { row, type Row } from '../rpc/row.ts'
import { procedures } from '../xdr/procedures.ts'

/** `1.2.3` as libvirt counts versions. */
function versionNumber(version: string): bigint {
  const [major = 0, minor = 0, patch = 0] = version.split(/[.-]/).map(Number)
  return BigInt(major * 1_000_000 + minor * 1000 + patch)
}

/** The oldest release of libvirt whose procedures are all that the table names. */
const LIBRARY_VERSION = '9.0.0'

export const connectRows: readonly Row[] = [
  row(procedures.connectGetType, () => ({ type: 'vmexit' })),
  row(procedures.connectGetVersion, ({ version }) => ({ hv_ver: versionNumber(version) })),
  row(procedures.connectGetLibVersion, () => ({ lib_ver: versionNumber(LIBRARY_VERSION) })),
  row(procedures.connectListAllDomains, ({ supervisor }) => {
    const domains = supervisor.list().map(({ name, uuid, id }) => ({ name, uuid, id: id ?? -1 }))
    return { domains, ret: domains.length }
  }),
  row(procedures.domainGetState, ({ supervisor }, { dom }) => {
    const { state } = supervisor.find(dom.uuid)
    return { state: state === 'running' ? 1 : 5, reason: 0 }
  }),
]
