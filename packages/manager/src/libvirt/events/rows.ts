import { ERROR, fail, FROM } from '../errors.ts'
import { row, type Row } from '../rpc/row.ts'
import { procedures } from '../xdr/procedures.ts'

/** Kinds of events of machines that the protocol has. */
const DOMAIN_EVENTS = 27
/** The same of networks, pools and the rest, of which there are none here. */
const OTHER_EVENTS = 2

function known(eventId: number, count: number): number {
  if (eventId >= 0 && eventId < count) return eventId
  return fail(ERROR.invalidArgument, `there is no event of the number ${eventId}`, FROM.remote)
}

/** Who wants to be told of what. */
export const eventRows: readonly Row[] = [
  row(procedures.connectDomainEventCallbackRegisterAny, ({ callbacks }, { eventID, dom }) => ({
    callbackID: callbacks.add('domain', known(eventID, DOMAIN_EVENTS), dom?.uuid),
  })),
  row(procedures.connectDomainEventCallbackDeregisterAny, ({ callbacks }, { callbackID }) => {
    callbacks.remove('domain', callbackID)
  }),
  row(procedures.connectNetworkEventRegisterAny, ({ callbacks }, { eventID }) => ({
    callbackID: callbacks.add('network', known(eventID, OTHER_EVENTS)),
  })),
  row(procedures.connectNetworkEventDeregisterAny, ({ callbacks }, { callbackID }) => {
    callbacks.remove('network', callbackID)
  }),
  row(procedures.connectStoragePoolEventRegisterAny, ({ callbacks }, { eventID }) => ({
    callbackID: callbacks.add('storage pool', known(eventID, OTHER_EVENTS)),
  })),
  row(procedures.connectStoragePoolEventDeregisterAny, ({ callbacks }, { callbackID }) => {
    callbacks.remove('storage pool', callbackID)
  }),
  row(procedures.connectNodeDeviceEventRegisterAny, ({ callbacks }, { eventID }) => ({
    callbackID: callbacks.add('node device', known(eventID, OTHER_EVENTS)),
  })),
  row(procedures.connectNodeDeviceEventDeregisterAny, ({ callbacks }, { callbackID }) => {
    callbacks.remove('node device', callbackID)
  }),
  row(procedures.connectSecretEventRegisterAny, ({ callbacks }, { eventID }) => ({
    callbackID: callbacks.add('secret', known(eventID, OTHER_EVENTS)),
  })),
  row(procedures.connectSecretEventDeregisterAny, ({ callbacks }, { callbackID }) => {
    callbacks.remove('secret', callbackID)
  }),
]
