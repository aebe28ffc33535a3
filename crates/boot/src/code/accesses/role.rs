//! Which operands are read, and which are written.

use iced_x86::{Instruction, Mnemonic};

/// What becomes of an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Role {
    pub reads: bool,
    pub writes: bool,
}

impl Role {
    pub const READ: Self = Self {
        reads: true,
        writes: false,
    };
    pub const WRITTEN: Self = Self {
        reads: false,
        writes: true,
    };
    pub const BOTH: Self = Self {
        reads: true,
        writes: true,
    };
}

/// Of an operand in memory; none if only its address counts.
pub(super) fn of(decoded: &Instruction, operand: u32) -> Option<Role> {
    let mnemonic = decoded.mnemonic();
    if is_address(mnemonic) {
        return None;
    }
    // The first operand is the destination.
    Some(if operand > 0 || is_source(mnemonic, decoded) {
        Role::READ
    } else if is_destination(mnemonic) {
        Role::WRITTEN
    } else {
        Role::BOTH
    })
}

#[rustfmt::skip]
const fn is_address(mnemonic: Mnemonic) -> bool {
    use Mnemonic as It;
    matches!(
        mnemonic,
        It::Lea | It::Nop | It::Reservednop | It::Invlpg | It::Invlpga | It::Invlpgb
        | It::Clflush | It::Clflushopt | It::Clwb | It::Cldemote
        | It::Prefetch | It::Prefetchw | It::Prefetchwt1 | It::Prefetchnta
        | It::Prefetcht0 | It::Prefetcht1 | It::Prefetcht2 | It::Prefetchit0 | It::Prefetchit1
        | It::Bndmk | It::Bndcl | It::Bndcu | It::Bndcn
    )
}

/// Instructions whose first operand is only read.
#[rustfmt::skip]
fn is_source(mnemonic: Mnemonic, decoded: &Instruction) -> bool {
    use Mnemonic as It;
    match mnemonic {
        It::Cmp | It::Test | It::Bt | It::Push | It::Call | It::Jmp
        | It::Mul | It::Div | It::Idiv | It::Xlatb
        | It::Lgdt | It::Lidt | It::Lldt | It::Ltr | It::Lmsw | It::Verr | It::Verw
        | It::Ldmxcsr | It::Vldmxcsr | It::Fxrstor | It::Fxrstor64
        | It::Xrstor | It::Xrstor64 | It::Xrstors | It::Xrstors64
        | It::Fld | It::Fild | It::Fbld | It::Fldcw | It::Fldenv | It::Frstor
        | It::Fadd | It::Fmul | It::Fcom | It::Fcomp | It::Fsub | It::Fsubr | It::Fdiv | It::Fdivr
        | It::Fiadd | It::Fimul | It::Ficom | It::Ficomp
        | It::Fisub | It::Fisubr | It::Fidiv | It::Fidivr
        | It::Ptwrite | It::Vmptrld | It::Vmxon | It::Vmclear | It::Ldtilecfg => true,
        // With one operand, which goes into registers.
        It::Imul => decoded.op_count() == 1,
        _ => false,
    }
}

/// Instructions whose first operand is only written.
#[rustfmt::skip]
const fn is_destination(mnemonic: Mnemonic) -> bool {
    use Mnemonic as It;
    matches!(
        mnemonic,
        It::Mov | It::Movbe | It::Movnti | It::Movdiri | It::Pop
        | It::Seta | It::Setae | It::Setb | It::Setbe | It::Sete | It::Setne | It::Setg | It::Setge
        | It::Setl | It::Setle | It::Seto | It::Setno | It::Setp | It::Setnp | It::Sets | It::Setns
        | It::Sgdt | It::Sidt | It::Sldt | It::Smsw | It::Str | It::Stmxcsr | It::Vstmxcsr
        | It::Fst | It::Fstp | It::Fist | It::Fistp | It::Fisttp | It::Fbstp
        | It::Fstcw | It::Fnstcw | It::Fstsw | It::Fnstsw | It::Fstenv | It::Fnstenv
        | It::Fsave | It::Fnsave | It::Fxsave | It::Fxsave64
        | It::Movd | It::Movq | It::Movss | It::Movsd | It::Movaps | It::Movapd
        | It::Movups | It::Movupd | It::Movdqa | It::Movdqu
        | It::Movlps | It::Movlpd | It::Movhps | It::Movhpd
        | It::Movntq | It::Movntdq | It::Movntps | It::Movntpd
        | It::Vmovd | It::Vmovq | It::Vmovss | It::Vmovsd | It::Vmovaps | It::Vmovapd
        | It::Vmovups | It::Vmovupd | It::Vmovdqa | It::Vmovdqu
        | It::Vmovdqa32 | It::Vmovdqa64
        | It::Vmovdqu8 | It::Vmovdqu16 | It::Vmovdqu32 | It::Vmovdqu64
        | It::Vmovlps | It::Vmovlpd | It::Vmovhps | It::Vmovhpd
        | It::Vmovntdq | It::Vmovntps | It::Vmovntpd
        | It::Pextrb | It::Pextrw | It::Pextrd | It::Pextrq | It::Extractps
        | It::Vpextrb | It::Vpextrw | It::Vpextrd | It::Vpextrq | It::Vextractps
        | It::Vextractf128 | It::Vextracti128
        | It::Vextractf32x4 | It::Vextractf32x8 | It::Vextractf64x2 | It::Vextractf64x4
        | It::Vextracti32x4 | It::Vextracti32x8 | It::Vextracti64x2 | It::Vextracti64x4
        | It::Vcvtps2ph | It::Maskmovq | It::Maskmovdqu | It::Vmaskmovdqu | It::Sttilecfg
    )
}
