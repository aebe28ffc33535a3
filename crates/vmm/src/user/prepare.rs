//! How a program starts: its memory, its tables, and the registers of its vCPU.

use boot::MemorySlot;
use boot::layout::{
    RESERVED_END, RESERVED_START, SYSTEM_START, USER_CODE, USER_EDIT, USER_EDITS, USER_MAILBOX,
    USER_SYSTEM_END, USER_TABLES,
};
use boot::state::cpuid::Place;
use boot::state::user as facts;
use kvm_bindings::kvm_regs;
use linux::{
    Clock, Errno, Fixed, Ground, HostFacts, Kernel, LoadError, LoadErrorKind, Protection, Space,
    Thread, Tree,
};

use crate::error::{Error, ErrorCode, Result};
use crate::kvm::host::Host;
use crate::kvm::memory::GuestMemory;
use crate::kvm::vcpu::Vcpu;
use crate::limits::{BOOT_VCPU, PAGE_BYTES};
use crate::user::config::UserConfig;
use crate::user::frames::Frames;
use crate::user::host::Facts;
use crate::user::program::User;
use crate::user::state::{UserProgram, UserState};

/// A program that is in memory.
pub(crate) struct UserPlan {
    pub state: UserState,
    registers: kvm_regs,
}

/// Makes the memory of a machine that runs a program, and puts that into it.
pub(crate) fn prepare(
    slots: &[MemorySlot],
    memory_bytes: u64,
    image: &[u8],
    config: &UserConfig,
) -> Result<(GuestMemory, UserPlan)> {
    let system = MemorySlot {
        gpa: SYSTEM_START,
        bytes: USER_SYSTEM_END - SYSTEM_START,
        read_only: false,
    };
    let slots: Vec<_> = slots.iter().copied().chain([system]).collect();
    let memory = GuestMemory::new(&slots)?;
    // A library is copied into an image once it has started, and touches less than a process.
    let memory = match config.files {
        Some(_) => memory.with_huge_pages(),
        None => memory,
    };
    for table in facts::tables() {
        memory.write(table.gpa, &table.bytes)?;
    }
    let space = Space::new(&ground(memory_bytes)).map_err(|_| too_small(memory_bytes))?;
    let plan = load(&memory, space, memory_bytes, image, config)?;
    Ok((memory, plan))
}

fn load(
    memory: &GuestMemory,
    mut space: Space,
    memory_bytes: u64,
    image: &[u8],
    config: &UserConfig,
) -> Result<UserPlan> {
    let mut tree = config.files.clone().map(Tree::new).transpose();
    let mut tree = match &mut tree {
        Ok(tree) => tree.take(),
        Err(error) => return Err(Error::new(ErrorCode::InvalidOption, error.0.clone())),
    };
    let path = config.files.as_ref().map(|files| files.program.as_slice());
    let own = match (&mut tree, path) {
        (Some(tree), Some(path)) if image.is_empty() => Some(found(path, tree.find_program(path))?),
        _ => None,
    };
    let image = own.as_deref().unwrap_or(image);
    let asked = linux::interpreter(image).map_err(refused)?;
    let interpreter = match (&mut tree, asked) {
        (Some(tree), Some(path)) => Some(found(path, tree.find_program(path))?),
        _ => None,
    };
    let arguments: Vec<_> = config.arguments.iter().map(Vec::as_slice).collect();
    let environment: Vec<_> = config.environment.iter().map(Vec::as_slice).collect();
    let mut random = [0; 16];
    let mut facts = Facts::new(config.clock, config.seed);
    facts.random(&mut random);
    if let Some(tree) = &mut tree {
        tree.set_time(facts.now(Clock::Realtime));
    }
    let program = linux::Program {
        image,
        arguments: &arguments,
        environment: &environment,
        interpreter: interpreter.as_deref(),
        random,
    };
    let loaded = linux::load(&mut space, memory, &program).map_err(refused)?;
    let program = UserProgram {
        base: loaded.base,
        entry: loaded.entry,
        stack: loaded.stack,
    };
    let state = UserState {
        program,
        kernel: match tree {
            Some(tree) => Kernel::with_tree(&loaded, memory_bytes, tree),
            None => Kernel::new(&loaded, memory_bytes),
        },
        space,
        thread: Thread::default(),
        facts,
        frames: Frames::default(),
        stop: None,
        asked: None,
    };
    let registers = kvm_regs {
        rip: loaded.entry.unwrap_or_default(),
        rsp: loaded.stack,
        rflags: facts::flags_of_ring_3(0),
        ..Default::default()
    };
    Ok(UserPlan { state, registers })
}

/// What a program has at a path, or why it has nothing there.
pub(crate) fn found<T>(path: &[u8], result: std::result::Result<T, Errno>) -> Result<T> {
    result.map_err(|errno| {
        let path = String::from_utf8_lossy(path);
        let why = std::io::Error::from_raw_os_error(errno.0);
        Error::new(ErrorCode::Payload, format!("{path}: {why}"))
    })
}

fn refused(error: LoadError) -> Error {
    let code = match error.kind {
        LoadErrorKind::NoMemory | LoadErrorKind::Limit => ErrorCode::Limit,
        LoadErrorKind::Argument => ErrorCode::InvalidOption,
        _ => ErrorCode::Payload,
    };
    Error::new(code, error.message)
}

/// What a program's space is made of: page 0 is the mailbox, and the rest of the memory its own.
fn ground(memory_bytes: u64) -> Ground {
    let ours = |address, bytes, gpa, protection, user| Fixed {
        address,
        bytes,
        gpa,
        protection,
        user,
    };
    let (all, data) = (Protection::ALL, Protection::READ_WRITE);
    let code = Protection::READ_EXECUTE;
    Ground {
        memory: PAGE_BYTES..memory_bytes,
        tables: USER_TABLES,
        reserved: RESERVED_START..RESERVED_END,
        fixed: vec![
            ours(
                SYSTEM_START,
                USER_CODE - SYSTEM_START,
                SYSTEM_START,
                all,
                false,
            ),
            ours(USER_CODE, PAGE_BYTES, USER_CODE, code, true),
            ours(USER_MAILBOX, PAGE_BYTES, 0, data, true),
            ours(USER_EDIT, PAGE_BYTES, USER_EDIT, code, false),
            ours(
                USER_EDITS,
                USER_SYSTEM_END - USER_EDITS,
                USER_EDITS,
                data,
                false,
            ),
        ],
    }
}

/// Sets the registers of a vCPU in ring 3 that has those of 64-bit mode.
pub(crate) fn install(vcpu: &mut Vcpu, plan: UserPlan, host: &Host) -> Result<User> {
    let place = Place {
        index: BOOT_VCPU,
        count: 1,
        irqchip: false,
    };
    let cpuid = host.cpuid_of(None, place)?;
    let leaf = cpuid
        .as_slice()
        .iter()
        .find(|leaf| leaf.function == 7 && leaf.index == 0);
    let features = leaf.map_or(0, |leaf| leaf.ebx);
    for (index, value) in facts::msrs() {
        vcpu.write_msr(index, value)?;
    }
    let plain = vcpu.special_registers()?;
    let root = plan.state.space.root();
    vcpu.set_special_registers(&facts::special_registers(&plain, root, features))?;
    vcpu.set_registers(&plan.registers)?;
    Ok(User::new(plan.state))
}

fn too_small(memory_bytes: u64) -> Error {
    let what = format!("memoryBytes: {memory_bytes} are too few for this program");
    Error::new(ErrorCode::Limit, what)
}
