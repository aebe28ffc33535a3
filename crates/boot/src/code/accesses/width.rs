//! Sizes of operands in memory.

use iced_x86::MemorySize;

/// As much as XSAVE's area has with all of AVX-512 (Intel SDM vol. 1 §13.4); how much of it an
/// instruction accesses, registers say that are not at hand.
const XSAVE: u32 = 2816;

/// A tile of AMX, which lies in rows.
const TILE: u32 = 1024;

/// Where vectors of each width begin in the decoder's list, from the end.
const VECTORS: [(MemorySize, u32); 7] = [
    // One element, of up to 8 bytes, that goes to all places.
    (MemorySize::Broadcast32_Float16, 8),
    (MemorySize::Packed512_UInt8, 64),
    (MemorySize::Packed256_UInt8, 32),
    (MemorySize::Packed128_UInt8, 16),
    (MemorySize::Packed64_UInt8, 8),
    (MemorySize::Packed32_UInt8, 4),
    (MemorySize::Packed16_UInt8, 2),
];

/// At least as many as are accessed.
pub(super) fn bytes(size: MemorySize) -> u32 {
    use MemorySize as Size;
    match size {
        Size::Unknown => 0,
        Size::UInt8 | Size::Int8 => 1,
        Size::UInt16 | Size::Int16 | Size::WordOffset | Size::Float16 | Size::BFloat16 => 2,
        Size::UInt32
        | Size::Int32
        | Size::DwordOffset
        | Size::Float32
        | Size::SegPtr16
        | Size::Bound16_WordWord => 4,
        Size::SegPtr32 | Size::Fword6 => 6,
        Size::UInt52
        | Size::UInt64
        | Size::Int64
        | Size::QwordOffset
        | Size::Float64
        | Size::Bound32_DwordDword
        | Size::Bnd32 => 8,
        Size::SegPtr64 | Size::Fword10 | Size::Float80 | Size::Bcd | Size::SegmentDescSelector => {
            10
        }
        Size::FpuEnv14 => 14,
        Size::UInt128 | Size::Int128 | Size::Float128 | Size::Bnd64 => 16,
        Size::FpuEnv28 => 28,
        Size::UInt256 | Size::Int256 => 32,
        Size::KLHandleAes128 => 48,
        Size::UInt512 | Size::Int512 | Size::Tilecfg | Size::KLHandleAes256 => 64,
        Size::FpuState94 => 94,
        Size::FpuState108 => 108,
        Size::Fxsave_512Byte | Size::Fxsave64_512Byte => 512,
        Size::Tile => TILE,
        Size::Xsave | Size::Xsave64 => XSAVE,
        _ => {
            let vector = VECTORS.iter().find(|(first, _)| size >= *first);
            vector.map_or(0, |(_, bytes)| *bytes)
        }
    }
}
