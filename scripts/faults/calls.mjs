// The calls that can be made to fail, as the shim numbers them, and the errors that each of them knows.
import { constants } from 'node:os'

const { errno } = constants

/** As in `enum kind` of shim.c. */
const KINDS = {
  ioctl: 1,
  mmap: 2,
  pthread_create: 3,
  eventfd: 4,
  madvise: 5,
  pthread_sigmask: 6,
  pthread_kill: 7,
  open: 8,
  sigaction: 9,
}

/** Numbers of KVM's ioctls (linux/kvm.h); one that is missing here is shown by its number. */
const IOCTLS = {
  0x00: 'KVM_GET_API_VERSION',
  0x01: 'KVM_CREATE_VM',
  0x02: 'KVM_GET_MSR_INDEX_LIST',
  0x03: 'KVM_CHECK_EXTENSION',
  0x04: 'KVM_GET_VCPU_MMAP_SIZE',
  0x05: 'KVM_GET_SUPPORTED_CPUID',
  0x41: 'KVM_CREATE_VCPU',
  0x42: 'KVM_GET_DIRTY_LOG',
  0x46: 'KVM_SET_USER_MEMORY_REGION',
  0x47: 'KVM_SET_TSS_ADDR',
  0x48: 'KVM_SET_IDENTITY_MAP_ADDR',
  0x60: 'KVM_CREATE_IRQCHIP',
  0x61: 'KVM_IRQ_LINE',
  0x67: 'KVM_REGISTER_COALESCED_MMIO',
  0x68: 'KVM_UNREGISTER_COALESCED_MMIO',
  0x6a: 'KVM_SET_GSI_ROUTING',
  0x76: 'KVM_IRQFD',
  0x77: 'KVM_CREATE_PIT2',
  0x79: 'KVM_IOEVENTFD',
  0x7b: 'KVM_SET_CLOCK',
  0x7c: 'KVM_GET_CLOCK',
  0x80: 'KVM_RUN',
  0x81: 'KVM_GET_REGS',
  0x82: 'KVM_SET_REGS',
  0x83: 'KVM_GET_SREGS',
  0x84: 'KVM_SET_SREGS',
  0x86: 'KVM_INTERRUPT',
  0x88: 'KVM_GET_MSRS',
  0x89: 'KVM_SET_MSRS',
  0x8b: 'KVM_SET_SIGNAL_MASK',
  0x8c: 'KVM_GET_FPU',
  0x8d: 'KVM_SET_FPU',
  0x8e: 'KVM_GET_LAPIC',
  0x8f: 'KVM_SET_LAPIC',
  0x90: 'KVM_SET_CPUID2',
  0x98: 'KVM_GET_MP_STATE',
  0x99: 'KVM_SET_MP_STATE',
  0x9a: 'KVM_NMI',
  0x9b: 'KVM_SET_GUEST_DEBUG',
  0x9f: 'KVM_GET_VCPU_EVENTS',
  0xa0: 'KVM_SET_VCPU_EVENTS',
  0xa1: 'KVM_GET_DEBUGREGS',
  0xa2: 'KVM_SET_DEBUGREGS',
  0xa3: 'KVM_ENABLE_CAP',
  0xa4: 'KVM_GET_XSAVE',
  0xa5: 'KVM_SET_XSAVE',
  0xa6: 'KVM_GET_XCRS',
  0xa7: 'KVM_SET_XCRS',
  0xc0: 'KVM_CLEAR_DIRTY_LOG',
  0xcf: 'KVM_GET_XSAVE2',
}

/** `madvise` differs by its advice as `ioctl` does by its request. */
const WITH_REQUEST = new Set([KINDS.ioctl, KINDS.madvise])

const DESCRIPTORS = ['EMFILE', 'ENOMEM']
const ERRORS = {
  KVM_RUN: ['EINTR', 'EAGAIN', 'EFAULT', 'ENOMEM', 'EINVAL', 'EBADF'],
  KVM_CREATE_VM: [...DESCRIPTORS, 'EINTR', 'EBUSY'],
  KVM_CREATE_VCPU: [...DESCRIPTORS, 'EINVAL'],
  ioctl: ['ENOMEM', 'EINVAL', 'EFAULT', 'EAGAIN', 'EINTR'],
  mmap: ['ENOMEM', 'EAGAIN'],
  pthread_create: ['EAGAIN', 'EPERM'],
  eventfd: ['EMFILE', 'ENFILE', 'ENOMEM'],
  madvise: ['ENOMEM', 'EINVAL', 'EAGAIN'],
  pthread_sigmask: ['EINVAL'],
  pthread_kill: ['EAGAIN'],
  sigaction: ['EINVAL'],
  open: ['EMFILE', 'ENFILE', 'EACCES', 'ENOENT', 'EINTR'],
}

const kindNames = Object.fromEntries(Object.entries(KINDS).map(([name, kind]) => [kind, name]))
const requests = Object.fromEntries(Object.entries(IOCTLS).map(([nr, name]) => [name, Number(nr)]))

/** The name of a call as the shim has noted it: kind and request. */
export function nameOf(kind, request) {
  if (kind === KINDS.ioctl) return IOCTLS[request] ?? `KVM_0x${request.toString(16)}`
  return kind === KINDS.madvise ? `madvise_${request}` : kindNames[kind]
}

/** `{ kind, request }` of a name; request -1 is any. */
export function callOf(name) {
  const ioctl = requests[name] ?? (/^KVM_(0x[0-9a-f]+)$/.exec(name)?.[1] || undefined)
  if (ioctl !== undefined) return { kind: KINDS.ioctl, request: Number(ioctl) }
  const [, plain, number] = /^(\w+?)(?:_(\d+))?$/.exec(name)
  const kind = KINDS[plain]
  if (kind === undefined) throw new Error(`no such call: ${name}`)
  return { kind, request: WITH_REQUEST.has(kind) && number ? Number(number) : -1 }
}

/** The names of the errors that a call may end with. */
export function errorsOf(name) {
  return ERRORS[name] ?? ERRORS[kindNames[callOf(name).kind]]
}

/** The number of an error. */
export const errnoOf = (name) => errno[name]
