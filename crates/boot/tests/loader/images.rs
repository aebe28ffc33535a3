//! Tiny images, made by hand, and readers of what loading makes of them.

use boot::{ErrorKind, LoadRequest, Loaded, MemorySlot, Part};

/// 64 MiB from gpa 0.
pub const MEMORY: [MemorySlot; 1] = [ram(0, 64 << 20)];

pub const fn ram(gpa: u64, bytes: u64) -> MemorySlot {
    MemorySlot {
        gpa,
        bytes,
        read_only: false,
    }
}

/// An image for `MEMORY`, with its format to be found.
pub fn request(image: &[u8]) -> LoadRequest<'_> {
    LoadRequest {
        image,
        format: None,
        load_gpa: 0,
        entry_gpa: None,
        command_line: b"",
        initrd: None,
        modules: &[],
        slots: &MEMORY,
        reserved: &[],
        rsdp_gpa: None,
        rsdp: &[],
        mode: None,
        screen: None,
    }
}

/// Loading fails with this code, and the message has all of `words`.
#[track_caller]
pub fn assert_refused(request: &LoadRequest, code: ErrorKind, words: &[&str]) {
    let error = boot::load(request).unwrap_err();
    assert_eq!(error.kind, code, "{error}");
    for word in words {
        assert!(error.message.contains(word), "'{word}' is not in '{error}'");
    }
}

/// The only part of this role.
#[track_caller]
pub fn part<'a, 'b>(loaded: &'b Loaded<'a>, what: &str) -> &'b Part<'a> {
    let parts: Vec<_> = loaded.parts.iter().filter(|it| it.what == what).collect();
    let [part] = parts.as_slice() else {
        panic!("{} parts are '{what}'", parts.len())
    };
    part
}

/// `length` bytes from a guest physical address on, wherever a part holds them.
#[track_caller]
pub fn read<'b>(loaded: &'b Loaded, gpa: u64, length: usize) -> &'b [u8] {
    let holds = |part: &&Part| part.range().contains(&gpa);
    let part = loaded.parts.iter().find(holds).unwrap();
    let start = (gpa - part.gpa) as usize;
    &part.bytes[start..start + length]
}

/// The bytes from a guest physical address up to the first zero.
#[track_caller]
pub fn string<'b>(loaded: &'b Loaded, gpa: u64) -> &'b [u8] {
    let part = loaded.parts.iter().find(|it| it.gpa == gpa).unwrap();
    let end = part.bytes.iter().position(|byte| *byte == 0).unwrap();
    &part.bytes[..end]
}

pub fn u16_at(bytes: &[u8], offset: usize) -> u16 {
    u16::from_le_bytes(bytes[offset..offset + 2].try_into().unwrap())
}

pub fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(bytes[offset..offset + 4].try_into().unwrap())
}

pub fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(bytes[offset..offset + 8].try_into().unwrap())
}

/// Writes a little-endian field over what stands there.
pub fn put(image: &mut [u8], offset: usize, field: &[u8]) {
    image[offset..offset + field.len()].copy_from_slice(field);
}

pub const PT_LOAD: u32 = 1;
pub const PT_INTERP: u32 = 3;
pub const PT_NOTE: u32 = 4;

/// `p_flags`: readable, writable, executable.
pub const RWX: u32 = 7;
pub const RW: u32 = 6;

/// A program header and its bytes in the file.
#[derive(Clone)]
pub struct Segment {
    pub p_type: u32,
    pub flags: u32,
    pub vaddr: u64,
    pub paddr: u64,
    pub bytes: Vec<u8>,
    pub memsz: u64,
    pub align: u64,
}

/// A loadable segment whose virtual addresses are its physical ones.
pub fn segment(paddr: u64, bytes: &[u8], memsz: u64) -> Segment {
    Segment {
        p_type: PT_LOAD,
        flags: RWX,
        vaddr: paddr,
        paddr,
        bytes: bytes.to_vec(),
        memsz,
        align: 4096,
    }
}

/// A PT_NOTE segment, which is not loaded.
pub fn notes(bytes: &[u8], align: u64) -> Segment {
    Segment {
        p_type: PT_NOTE,
        align,
        ..segment(0, bytes, bytes.len() as u64)
    }
}

/// One note, its name and descriptor padded to `align`.
pub fn note(name: &[u8], kind: u32, desc: &[u8], align: usize) -> Vec<u8> {
    let mut bytes = [name.len() as u32, desc.len() as u32, kind]
        .map(u32::to_le_bytes)
        .concat();
    for field in [name, desc] {
        bytes.extend(field);
        bytes.resize(bytes.len().next_multiple_of(align), 0);
    }
    bytes
}

/// A header of 52 bytes, 32 bytes for each program header, then the segments' bytes.
pub fn elf32(entry: u32, segments: &[Segment]) -> Vec<u8> {
    let mut image = b"\x7fELF\x01\x01\x01".to_vec();
    image.resize(16, 0);
    image.extend([2u16, 3].map(u16::to_le_bytes).concat()); // e_type, e_machine
    image.extend([1, entry, 52, 0, 0].map(u32::to_le_bytes).concat()); // e_version … e_flags
    let count = segments.len() as u16;
    image.extend([52, 32, count, 40, 0, 0].map(u16::to_le_bytes).concat());
    let mut offset = 52 + 32 * segments.len() as u32;
    for it in segments {
        let (vaddr, paddr) = (it.vaddr as u32, it.paddr as u32);
        let (filesz, memsz) = (it.bytes.len() as u32, it.memsz as u32);
        let fields = [
            it.p_type,
            offset,
            vaddr,
            paddr,
            filesz,
            memsz,
            it.flags,
            it.align as u32,
        ];
        image.extend(fields.map(u32::to_le_bytes).concat());
        offset += filesz;
    }
    image.extend(segments.iter().flat_map(|it| it.bytes.clone()));
    image
}

/// A header of 64 bytes, 56 bytes for each program header, then the segments' bytes.
pub fn elf64(entry: u64, segments: &[Segment]) -> Vec<u8> {
    let mut image = b"\x7fELF\x02\x01\x01".to_vec();
    image.resize(16, 0);
    image.extend([2u16, 62, 1, 0].map(u16::to_le_bytes).concat()); // e_type, e_machine, e_version
    image.extend([entry, 64, 0].map(u64::to_le_bytes).concat()); // e_entry, e_phoff, e_shoff
    let count = segments.len() as u16;
    image.extend(
        [0, 0, 64, 56, count, 64, 0, 0]
            .map(u16::to_le_bytes)
            .concat(),
    );
    let mut offset = 64 + 56 * segments.len() as u64;
    for it in segments {
        image.extend([it.p_type, it.flags].map(u32::to_le_bytes).concat());
        let filesz = it.bytes.len() as u64;
        let fields = [offset, it.vaddr, it.paddr, filesz, it.memsz, it.align];
        image.extend(fields.map(u64::to_le_bytes).concat());
        offset += filesz;
    }
    image.extend(segments.iter().flat_map(|it| it.bytes.clone()));
    image
}

/// The first three words of a multiboot header.
pub fn multiboot_header(flags: u32) -> Vec<u8> {
    let magic = 0x1bad_b002u32;
    let checksum = 0u32.wrapping_sub(magic).wrapping_sub(flags);
    [magic, flags, checksum].map(u32::to_le_bytes).concat()
}

/// An ELF32 image with a multiboot header, one segment at 1 MiB and its bss.
pub fn multiboot_elf(flags: u32) -> Vec<u8> {
    let text = [multiboot_header(flags), vec![0xf4; 4]].concat();
    elf32(0x10_000c, &[segment(0x10_0000, &text, 0x3000)])
}

/// 16 bytes of something else, then a multiboot header with address fields, then a `hlt`.
pub fn multiboot_flat() -> Vec<u8> {
    let fields = [0x10_0010u32, 0x10_0004, 0, 0x10_2000, 0x10_0030];
    [
        vec![0xcc; 16],
        multiboot_header(1 << 16),
        fields.map(u32::to_le_bytes).concat(),
        vec![0xf4; 8],
    ]
    .concat()
}

/// A tag of a multiboot 2 header, padded.
pub fn tag(kind: u16, flags: u16, words: &[u32]) -> Vec<u8> {
    let mut tag = [kind, flags].map(u16::to_le_bytes).concat();
    tag.extend((8 + 4 * words.len() as u32).to_le_bytes());
    tag.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    tag.resize(tag.len().next_multiple_of(8), 0);
    tag
}

/// A multiboot 2 header with these tags and the one that ends them.
pub fn multiboot2_header(tags: &[Vec<u8>]) -> Vec<u8> {
    let (magic, tags) = (0xe852_50d6u32, [tags.concat(), tag(0, 0, &[])].concat());
    let length = 16 + tags.len() as u32;
    let checksum = 0u32.wrapping_sub(magic).wrapping_sub(length);
    let words = [magic, 0, length, checksum].map(u32::to_le_bytes);
    [words.concat(), tags].concat()
}

/// An ELF64 image with a multiboot 2 header, its entry after it, one segment at 1 MiB and its bss.
pub fn multiboot2_elf(tags: &[Vec<u8>]) -> Vec<u8> {
    // 64 + 56 bytes of headers: a multiple of eight.
    let header = multiboot2_header(tags);
    let entry = 0x10_0000 + header.len() as u64;
    let text = [header, vec![0xf4; 8]].concat();
    elf64(entry, &[segment(0x10_0000, &text, 0x3000)])
}

/// Eight bytes of something else, then a multiboot 2 header with addresses and an entry, then a
/// `hlt`.
pub fn multiboot2_flat() -> Vec<u8> {
    let addresses = tag(2, 0, &[0x10_0008, 0x10_0000, 0, 0x10_2000]);
    let tags = [addresses, tag(3, 0, &[0x10_0040])];
    [vec![0xcc; 8], multiboot2_header(&tags), vec![0xf4; 8]].concat()
}

/// An ELF64 image with a segment at 16 MiB and PVH's entry 4 bytes into it.
pub fn pvh() -> Vec<u8> {
    let other = note(b"GNU\0", 5, &[1, 2, 3, 4, 5], 4);
    let xen = note(b"Xen\0", 18, &0x100_0004u64.to_le_bytes(), 4);
    let segments = [
        segment(0x100_0000, &[0xf4; 16], 0x1000),
        notes(&[other, xen].concat(), 4),
    ];
    elf64(0x100_0000, &segments)
}

/// The setup header's fields that matter for loading, as a kernel of version 2.15 has them.
#[derive(Clone, Copy)]
pub struct Kernel {
    pub version: u16,
    pub loadflags: u8,
    pub code32_start: u32,
    pub initrd_addr_max: u32,
    pub kernel_alignment: u32,
    pub relocatable_kernel: u8,
    pub xloadflags: u16,
    pub cmdline_size: u32,
    pub pref_address: u64,
    pub init_size: u32,
}

pub const KERNEL: Kernel = Kernel {
    version: 0x020f,
    loadflags: 1,
    code32_start: 0x10_0000,
    initrd_addr_max: 0x7fff_ffff,
    kernel_alignment: 2 << 20,
    relocatable_kernel: 1,
    xloadflags: 1,
    cmdline_size: 2047,
    pref_address: 16 << 20,
    init_size: 8 << 20,
};

impl Kernel {
    /// A boot sector, one sector of setup code, and a kernel of 1,024 bytes.
    pub fn image(&self) -> Vec<u8> {
        let mut image = vec![0x90; 2 * 512];
        image.extend((0..1024).map(|i| (i % 251) as u8));
        image[0x1f1..0x290].fill(0);
        image[0x1f1] = 1; // setup_sects
        put(&mut image, 0x1f4, &64u32.to_le_bytes()); // syssize
        put(&mut image, 0x1fe, &[0x55, 0xaa]);
        put(&mut image, 0x200, &[0xeb, 0x6a]); // the header ends at 0x26c
        put(&mut image, 0x202, b"HdrS");
        put(&mut image, 0x206, &self.version.to_le_bytes());
        image[0x211] = self.loadflags;
        put(&mut image, 0x214, &self.code32_start.to_le_bytes());
        put(&mut image, 0x22c, &self.initrd_addr_max.to_le_bytes());
        put(&mut image, 0x230, &self.kernel_alignment.to_le_bytes());
        image[0x234] = self.relocatable_kernel;
        put(&mut image, 0x236, &self.xloadflags.to_le_bytes());
        put(&mut image, 0x238, &self.cmdline_size.to_le_bytes());
        put(&mut image, 0x258, &self.pref_address.to_le_bytes());
        put(&mut image, 0x260, &self.init_size.to_le_bytes());
        image
    }
}
