import { type Kind, kinds } from './kinds.ts'

/**
 * What the arguments of system calls are, in their order, by the words of {@link kinds} (man-pages,
 * section 2). A call with a word after `=` gives something other than a number.
 */
const table = `
  read fd filled size
  write fd bytes size
  open path open createMode
  close fd
  stat path stat
  fstat fd stat
  lstat path stat
  poll polls uint int
  lseek fd long whence
  mmap ptr size prot map fd hex = ptr
  mprotect ptr size prot
  munmap ptr size
  brk ptr = ptr
  rt_sigaction signal action actionOut size
  rt_sigprocmask how set setOut size
  rt_sigreturn
  ioctl fd ioctl ptr
  pread64 fd filled size long
  pwrite64 fd bytes size long
  readv fd filledVector int
  writev fd vector int
  preadv fd filledVector int long
  pwritev fd vector int long
  access path access
  pipe pair
  select int ptr ptr ptr ptr
  sched_yield
  mremap ptr size size remap ptr = ptr
  msync ptr size msync
  mincore ptr size ptr
  madvise ptr size advice
  dup fd
  dup2 fd fd
  dup3 fd fd openBits
  pause
  nanosleep timespec timespecOut
  getitimer timer ptr
  alarm uint
  setitimer timer ptr ptr
  getpid
  sendfile fd fd ptr size
  socket family socket int
  connect fd ptr uint
  accept fd ptr ptr
  accept4 fd ptr ptr socket
  sendto fd bytes size hex ptr uint
  recvfrom fd filled size hex ptr ptr
  sendmsg fd ptr hex
  recvmsg fd ptr hex
  shutdown fd int
  bind fd ptr uint
  listen fd int
  getsockname fd ptr ptr
  getpeername fd ptr ptr
  socketpair family socket int pair
  setsockopt fd int int ptr uint
  getsockopt fd int int ptr ptr
  clone clone ptr ptr ptr ptr
  clone3 ptr size
  fork
  vfork
  execve path ptr ptr
  execveat at path ptr ptr atFlags
  exit int
  exit_group int
  wait4 int ptr hex ptr
  waitid int int ptr hex ptr
  kill int signal
  tkill int signal
  tgkill int int signal
  uname utsname
  fcntl fd fcntl fcntlArgument
  flock fd lock
  fsync fd
  fdatasync fd
  truncate path long
  ftruncate fd long
  getdents fd entries size
  getdents64 fd entries size
  getcwd text size
  chdir path
  fchdir fd
  rename path path
  renameat at path at path
  renameat2 at path at path renameFlags
  mkdir path octal
  mkdirat at path octal
  rmdir path
  creat path octal
  link path path
  linkat at path at path atFlags
  unlink path
  unlinkat at path unlinkFlags
  symlink path path
  symlinkat path at path
  readlink path filled size
  readlinkat at path filled size
  chmod path octal
  fchmod fd octal
  fchmodat at path octal
  fchmodat2 at path octal atFlags
  chown path int int
  fchown fd int int
  lchown path int int
  fchownat at path int int atFlags
  umask octal = octal
  gettimeofday timevalOut ptr
  settimeofday ptr ptr
  getrlimit resource rlimitOut
  setrlimit resource rlimit
  prlimit64 int resource rlimit rlimitOut
  getrusage usage ptr
  sysinfo ptr
  times ptr
  ptrace int int ptr ptr
  getuid
  getgid
  geteuid
  getegid
  setuid int
  setgid int
  setreuid int int
  setregid int int
  setresuid int int int
  setresgid int int int
  getresuid wordOut wordOut wordOut
  getresgid wordOut wordOut wordOut
  getgroups int ptr
  setgroups int ptr
  setpgid int int
  getpgid int
  getppid
  getpgrp
  setsid
  getsid int
  gettid
  rt_sigpending setOut size
  rt_sigtimedwait set ptr timespec size
  rt_sigqueueinfo int signal ptr
  rt_sigsuspend set size
  sigaltstack ptr ptr
  utime path ptr
  utimes path ptr
  futimesat at path ptr
  utimensat at path ptr atFlags
  mknod path octal hex
  mknodat at path octal hex
  statfs path ptr
  fstatfs fd ptr
  getpriority int int
  setpriority int int int
  sched_getparam int ptr
  sched_setparam int ptr
  sched_getscheduler int
  sched_setscheduler int int ptr
  sched_getaffinity int size ptr
  sched_setaffinity int size ptr
  mlock ptr size
  munlock ptr size
  mlockall hex
  munlockall
  prctl prctl prctlArgument prctlArgument prctlArgument prctlArgument
  arch_prctl arch ptr
  chroot path
  sync
  syncfs fd
  mount path path path hex ptr
  umount2 path hex
  readahead fd long size
  setxattr path path ptr size hex
  getxattr path path ptr size
  lgetxattr path path ptr size
  fgetxattr fd path ptr size
  listxattr path ptr size
  llistxattr path ptr size
  flistxattr fd ptr size
  time ptr
  futex ptr futex uint ptr ptr uint
  epoll_create int
  epoll_create1 openBits
  epoll_ctl fd epoll fd ptr
  epoll_wait fd ptr int int
  epoll_pwait fd ptr int int set size
  set_tid_address ptr
  fadvise64 fd long size int
  clock_gettime clock timespecOut
  clock_settime clock timespec
  clock_getres clock timespecOut
  clock_nanosleep clock timerFlags timespec timespecOut
  timer_create clock ptr ptr
  faccessat at path access
  faccessat2 at path access accessFlags
  openat at path open createMode
  openat2 at path ptr size
  newfstatat at path stat atFlags
  statx at path atFlags statxMask statx
  pselect6 int ptr ptr ptr timespec ptr
  ppoll polls uint timespec set size
  set_robust_list ptr size
  get_robust_list int ptr ptr
  splice fd ptr fd ptr size hex
  tee fd fd size hex
  fallocate fd allocate long long
  eventfd uint
  eventfd2 uint openBits
  timerfd_create clock openBits
  timerfd_settime fd hex ptr ptr
  signalfd4 fd set size openBits
  inotify_init
  inotify_init1 openBits
  inotify_add_watch fd path hex
  pipe2 pair openBits
  getcpu wordOut wordOut ptr
  getrandom filled size random
  memfd_create path memfd
  membarrier int hex int
  copy_file_range fd ptr fd ptr size hex
  close_range uint uint hex
  mlock2 ptr size hex
  pkey_mprotect ptr size prot int
  rseq ptr hex hex hex
  pidfd_open int hex
  landlock_create_ruleset ptr size hex
  seccomp uint hex ptr
  bpf int ptr uint
  perf_event_open ptr int int fd hex
  io_uring_setup uint ptr
  getpgid int
  capget ptr ptr
  capset ptr ptr
  setfsuid int
  setfsgid int
  personality hex
  syslog int ptr int
`

/** How a call is shown. */
export interface Signature {
  readonly args: readonly Kind[]
  readonly result: Kind
}

/** By the names of calls. */
export const signatures: ReadonlyMap<string, Signature> = new Map(
  table
    .trim()
    .split('\n')
    .map((line) => {
      const [words = '', result = 'long'] = line.trim().split(' = ')
      const [name = '', ...args] = words.split(' ')
      return [name, { args: args.map((word) => kinds[word]!), result: kinds[result]! }] as const
    }),
)
