//! `/dev` and `/proc`, which are the engine's own: what is there. Nothing of the host shows.

/// Where the engine's own files are; nothing else can be put there.
pub const PLACES: [&str; 2] = ["/dev", "/proc"];
/// The directory of a process's descriptors.
const DESCRIPTORS: &str = "/proc/2/fd";

/// A character device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// Nothing to read; what is written is gone.
    Null,
    /// Zeros.
    Zero,
    /// Zeros, and no room.
    Full,
    /// Chance.
    Random,
    /// The terminal, which there is none of.
    Terminal,
}

impl Device {
    /// Major and minor number, as Linux has them (`devices.txt`).
    pub const fn numbers(self) -> (u32, u32) {
        match self {
            Self::Null => (1, 3),
            Self::Zero => (1, 5),
            Self::Full => (1, 7),
            Self::Random => (1, 9),
            Self::Terminal => (5, 0),
        }
    }
}

/// A file whose contents are made when it is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text {
    Arguments,
    Cgroup,
    Comm,
    Environment,
    Fixed(&'static str),
    Limits,
    Load,
    Maps,
    Memory,
    MountTable,
    MountInfo,
    ProcessStat,
    ProcessStatus,
    Processor,
    Stat,
    Statm,
    Uptime,
    Version,
}

/// What one of them is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Directory,
    Link(&'static str),
    /// A link to the program's image.
    Program,
    /// A link to where relative paths begin.
    Current,
    Device(Device),
    Text(Text),
    /// Leads to what a descriptor leads to.
    Descriptor(i32),
}

/// One of the engine's own files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    /// By its place in the table.
    Listed(usize),
    Descriptor(i32),
    /// A directory on the way to a mount, where nothing else is.
    Hollow,
}

const TABLE: &[(&str, What)] = &[
    ("/dev", What::Directory),
    ("/dev/fd", What::Link("/proc/self/fd")),
    ("/dev/full", What::Device(Device::Full)),
    ("/dev/null", What::Device(Device::Null)),
    ("/dev/random", What::Device(Device::Random)),
    ("/dev/stderr", What::Link("/proc/self/fd/2")),
    ("/dev/stdin", What::Link("/proc/self/fd/0")),
    ("/dev/stdout", What::Link("/proc/self/fd/1")),
    ("/dev/tty", What::Device(Device::Terminal)),
    ("/dev/urandom", What::Device(Device::Random)),
    ("/dev/zero", What::Device(Device::Zero)),
    ("/proc", What::Directory),
    ("/proc/2", What::Directory),
    ("/proc/2/cgroup", What::Text(Text::Cgroup)),
    ("/proc/2/cmdline", What::Text(Text::Arguments)),
    ("/proc/2/comm", What::Text(Text::Comm)),
    ("/proc/2/cwd", What::Current),
    ("/proc/2/environ", What::Text(Text::Environment)),
    ("/proc/2/exe", What::Program),
    ("/proc/2/fd", What::Directory),
    ("/proc/2/limits", What::Text(Text::Limits)),
    ("/proc/2/maps", What::Text(Text::Maps)),
    ("/proc/2/mountinfo", What::Text(Text::MountInfo)),
    ("/proc/2/mounts", What::Text(Text::MountTable)),
    ("/proc/2/root", What::Link("/")),
    ("/proc/2/stat", What::Text(Text::ProcessStat)),
    ("/proc/2/statm", What::Text(Text::Statm)),
    ("/proc/2/status", What::Text(Text::ProcessStatus)),
    ("/proc/2/task", What::Directory),
    ("/proc/2/task/2", What::Directory),
    ("/proc/2/task/2/comm", What::Text(Text::Comm)),
    ("/proc/2/task/2/stat", What::Text(Text::ProcessStat)),
    ("/proc/2/task/2/status", What::Text(Text::ProcessStatus)),
    ("/proc/cmdline", What::Text(Text::Fixed("\n"))),
    ("/proc/cpuinfo", What::Text(Text::Processor)),
    (
        "/proc/filesystems",
        What::Text(Text::Fixed("nodev\tproc\nnodev\ttmpfs\n")),
    ),
    ("/proc/loadavg", What::Text(Text::Load)),
    ("/proc/meminfo", What::Text(Text::Memory)),
    ("/proc/mounts", What::Link("self/mounts")),
    ("/proc/self", What::Link("2")),
    ("/proc/stat", What::Text(Text::Stat)),
    ("/proc/sys", What::Directory),
    ("/proc/sys/fs", What::Directory),
    ("/proc/sys/fs/file-max", What::Text(Text::Fixed("1024\n"))),
    (
        "/proc/sys/fs/pipe-max-size",
        What::Text(Text::Fixed("65536\n")),
    ),
    ("/proc/sys/kernel", What::Directory),
    (
        "/proc/sys/kernel/cap_last_cap",
        What::Text(Text::Fixed("40\n")),
    ),
    (
        "/proc/sys/kernel/hostname",
        What::Text(Text::Fixed("vmexit\n")),
    ),
    (
        "/proc/sys/kernel/ngroups_max",
        What::Text(Text::Fixed("65536\n")),
    ),
    (
        "/proc/sys/kernel/osrelease",
        What::Text(Text::Fixed("6.1.0\n")),
    ),
    (
        "/proc/sys/kernel/ostype",
        What::Text(Text::Fixed("Linux\n")),
    ),
    (
        "/proc/sys/kernel/pid_max",
        What::Text(Text::Fixed("32768\n")),
    ),
    ("/proc/sys/vm", What::Directory),
    (
        "/proc/sys/vm/max_map_count",
        What::Text(Text::Fixed("65530\n")),
    ),
    (
        "/proc/sys/vm/overcommit_memory",
        What::Text(Text::Fixed("0\n")),
    ),
    ("/proc/thread-self", What::Link("2/task/2")),
    ("/proc/uptime", What::Text(Text::Uptime)),
    ("/proc/version", What::Text(Text::Version)),
];

/// The directory and the last name of a path.
fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

impl Own {
    /// One of the directories that everything else is in.
    pub fn root(path: &str) -> Option<Self> {
        let place = TABLE.iter().position(|(listed, _)| *listed == path);
        place.map(Self::Listed)
    }

    fn path(self) -> &'static str {
        match self {
            Self::Listed(place) => TABLE.get(place).map_or("", |(path, _)| path),
            Self::Descriptor(_) | Self::Hollow => "",
        }
    }

    /// What it is.
    pub fn what(self) -> What {
        match self {
            Self::Listed(place) => TABLE.get(place).map_or(What::Directory, |(_, what)| *what),
            Self::Descriptor(number) => What::Descriptor(number),
            Self::Hollow => What::Directory,
        }
    }

    /// Whether it is the directory of the descriptors.
    pub fn has_descriptors(self) -> bool {
        self.path() == DESCRIPTORS
    }

    /// A number that no other of them has.
    pub fn inode(self) -> u64 {
        match self {
            Self::Listed(place) => place as u64 + 2,
            Self::Descriptor(number) => 0x1_0000 + u64::from(number.unsigned_abs()),
            Self::Hollow => 1,
        }
    }

    /// What has a name in it; a descriptor is there if the caller knows of it.
    pub fn child(self, name: &[u8]) -> Option<Self> {
        let name = std::str::from_utf8(name).ok()?;
        if self.has_descriptors() {
            let number: i32 = name.parse().ok()?;
            // One spelling only.
            return (number.to_string() == name).then_some(Self::Descriptor(number));
        }
        let path = self.path();
        let place = TABLE.iter().position(|(listed, _)| {
            let (directory, last) = split(listed);
            directory == path && last == name && !path.is_empty()
        });
        place.map(Self::Listed)
    }

    /// All names in it but those of descriptors.
    pub fn children(self) -> impl Iterator<Item = (&'static str, Self)> {
        let path = self.path();
        let listed = TABLE.iter().enumerate().filter_map(move |(place, entry)| {
            let (directory, name) = split(entry.0);
            (directory == path && !path.is_empty()).then_some((name, Self::Listed(place)))
        });
        listed.filter(|(name, _)| !name.is_empty())
    }

    /// Permission bits.
    pub fn mode(self) -> u32 {
        match self.what() {
            What::Directory => 0o555,
            What::Device(_) => 0o666,
            What::Text(Text::Environment) => 0o400,
            What::Text(_) => 0o444,
            What::Descriptor(_) => 0o700,
            What::Link(_) | What::Program | What::Current => 0o777,
        }
    }
}
