import type { Call, Operation, PlainOperation } from '../operation.ts'
import { objectOf, ref } from '../schemas.ts'

const dayMs = 86_400_000
const maxHoldMs = 60_000
const maxKeys = 16
const maxKeyLength = 32

type Rest = Partial<PlainOperation> & { readonly answer: PlainOperation['answer'] }

/** One thing that is done to a machine. */
const deed = (
  path: string,
  id: string,
  summary: string,
  handle: (call: Call) => unknown,
  rest: Rest,
): Operation => ({
  kind: 'plain',
  id,
  method: 'POST',
  path: `/v1/machines/{name}/${path}`,
  summary,
  errors: [409],
  handle,
  ...rest,
})

const view: Rest = { answer: ref('Machine') }
const nothing: Rest = { answer: undefined }

/** What is done to machines. */
export const runs: readonly Operation[] = [
  deed(
    'start',
    'startMachine',
    'Starts it; answered when it runs',
    ({ supervisor, name, body }) => supervisor.start(name, body),
    {
      ...view,
      body: objectOf({
        'paused?': { type: 'boolean', description: 'Stops before the first instruction' },
        'fresh?': { type: 'boolean', description: 'Forgets a saved state and begins anew' },
      }),
      bodyIsOptional: true,
    },
  ),
  deed(
    'stop',
    'stopMachine',
    'Presses the power button, and kills it after a time; answered when it has ended',
    ({ supervisor, name, body }) => supervisor.stop(name, body),
    {
      ...view,
      body: objectOf({ 'timeoutMs?': { type: 'integer', minimum: 0, maximum: dayMs } }),
      bodyIsOptional: true,
    },
  ),
  deed('kill', 'killMachine', 'Ends it at once', (call) => call.supervisor.kill(call.name), view),
  deed(
    'reset',
    'resetMachine',
    'Presses the reset button',
    ({ supervisor, name }) => supervisor.reset(name),
    nothing,
  ),
  deed(
    'pause',
    'pauseMachine',
    'Stops its vCPUs',
    (call) => call.supervisor.pause(call.name),
    view,
  ),
  deed(
    'resume',
    'resumeMachine',
    'Lets its vCPUs go on',
    ({ supervisor, name }) => supervisor.resume(name),
    view,
  ),
  deed(
    'power-button',
    'pressPowerButton',
    'Presses the power button and does not wait',
    ({ supervisor, name }) => supervisor.powerButton(name),
    nothing,
  ),
  deed(
    'nmi',
    'injectNmi',
    'Interrupts vCPU 0 by an NMI',
    ({ supervisor, name }) => supervisor.nmi(name),
    nothing,
  ),
  deed(
    'keys',
    'sendKeys',
    'Presses keys together, and releases them',
    ({ supervisor, name, body }) => supervisor.sendKeys(name, body.codes, body.holdMs),
    {
      ...nothing,
      body: objectOf({
        codes: {
          type: 'array',
          description: 'Names of KeyboardEvent.code',
          items: { type: 'string', minLength: 1, maxLength: maxKeyLength },
          minItems: 1,
          maxItems: maxKeys,
        },
        'holdMs?': { type: 'integer', minimum: 0, maximum: maxHoldMs },
      }),
    },
  ),
]
