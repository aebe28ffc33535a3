import { message, procedure } from './procedure.ts'
import { int, nothing, optional, struct } from './shapes.ts'
import { domain } from './types.ts'

/** Of events. */
export const eventProcedures = {
  connectDomainEventCallbackRegisterAny: procedure(
    316,
    'CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY',
    'read',
    struct({ eventID: int, dom: optional(domain) }),
    struct({ callbackID: int }),
  ),
  connectDomainEventCallbackDeregisterAny: procedure(
    317,
    'CONNECT_DOMAIN_EVENT_CALLBACK_DEREGISTER_ANY',
    'read',
    struct({ callbackID: int }),
    nothing,
  ),
  connectDomainEventRegister: procedure(
    105,
    'CONNECT_DOMAIN_EVENT_REGISTER',
    'read',
    nothing,
    struct({ cb_registered: int }),
  ),
  connectDomainEventDeregister: procedure(
    106,
    'CONNECT_DOMAIN_EVENT_DEREGISTER',
    'read',
    nothing,
    struct({ cb_registered: int }),
  ),
} as const

/** What a server tells of events. */
export const messages = {
  domainEventCallbackLifecycle: message(
    318,
    'DOMAIN_EVENT_CALLBACK_LIFECYCLE',
    struct({ callbackID: int, msg: struct({ dom: domain, event: int, detail: int }) }),
  ),
  domainEventCallbackReboot: message(
    319,
    'DOMAIN_EVENT_CALLBACK_REBOOT',
    struct({ callbackID: int, msg: struct({ dom: domain }) }),
  ),
  connectEventConnectionClosed: message(
    362,
    'CONNECT_EVENT_CONNECTION_CLOSED',
    struct({ reason: int }),
  ),
} as const
