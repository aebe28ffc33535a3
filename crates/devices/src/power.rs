//! How a guest turns the machine off: the ACPI PM1 registers, with the power button.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::device::{Device, PowerRequest, read_bytes, write_bytes};
use crate::state::{State, saved};
use crate::trigger::Level;

/// SLP_TYP of the soft-off state, as `\_S5` in the DSDT must say (ACPI 6.5 §7.4.2.6). Zero, so that
/// kernels which know no AML and write 0x2000, as they do under QEMU, power off here too.
pub const S5_SLEEP_TYPE: u8 = 0;

const STATUS: u8 = 0;
/// Status and enable have it in the same place.
const POWER_BUTTON: u8 = 1 << 0;
const ENABLE: u8 = 2;
const CONTROL: u8 = 4;

/// What keeps its value in PM1 enable: TMR, GBL, PWRBTN, SLPBTN, RTC and PCIEXP_WAKE_DIS
/// (§4.8.3.1.2).
const ENABLE_BITS: [u8; 2] = [0x21, 0x47];

/// What keeps its value in PM1 control: BM_RLD and SLP_TYP (§4.8.3.2.1).
const CONTROL_BITS: [u8; 2] = [0x02, 0x1c];

const SCI_EN: u8 = 1 << 0;
/// SLP_TYP and SLP_EN, bits 12..10 and 13, in control's second byte.
const SLP_TYP_SHIFT: u8 = 2;
const SLP_TYP_MASK: u8 = 7;
const SLP_EN: u8 = 1 << 5;

saved! {
    /// The registers of a [`Pm1`].
    Pm1State = "pm1" {
        /// PWRBTN_STS (§4.8.3.1.1): the button was pressed and the guest has not cleared it.
        is_pressed: bool,
        /// PM1 enable.
        enable: [u8; 2],
        /// PM1 control.
        control: [u8; 2],
    }
}

/// The line of the system control interrupt, for a machine that has interrupt lines.
type Sci = Option<Box<dyn Level + Send>>;

/// The power button, usable from any thread while the machine runs.
#[derive(Debug)]
pub struct PowerButton(Mutex<Registers>);

#[derive(Debug)]
struct Registers {
    state: Pm1State,
    sci: Sci,
}

impl PowerButton {
    /// Presses it. A guest that has not noticed the last time notices once.
    pub fn press(&self) {
        self.registers().change(|state| state.is_pressed = true);
    }

    fn registers(&self) -> MutexGuard<'_, Registers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registers {
    /// The line is high as long as an event is there that the guest wants to hear of.
    fn change(&mut self, change: impl FnOnce(&mut Pm1State)) {
        let before = self.state.interrupts();
        change(&mut self.state);
        let after = self.state.interrupts();
        if let Some(sci) = self.sci.as_ref().filter(|_| before != after) {
            sci.set(after);
        }
    }
}

impl Pm1State {
    const fn interrupts(&self) -> bool {
        self.is_pressed && self.enable[1] & POWER_BUTTON != 0
    }
}

/// PM1a event block (status at offset 0, enable at 2) and PM1a control block (at 4), six bytes in a
/// row (ACPI 6.5 §4.8.3). The machine is in ACPI mode from the start; of the fixed events there is
/// the power button.
#[derive(Debug)]
pub struct Pm1 {
    /// The host's end.
    pub button: Arc<PowerButton>,
}

impl Pm1 {
    /// Bytes of the event block, from offset 0.
    pub const EVENT_BYTES: u8 = CONTROL;

    /// Bytes of the control block after it.
    pub const CONTROL_BYTES: u8 = 2;

    /// Both registers as after a reset; `sci` is the system control interrupt.
    pub fn new(sci: Option<Box<dyn Level + Send>>) -> Self {
        let state = Pm1State {
            is_pressed: false,
            enable: [0; 2],
            control: [0; 2],
        };
        Self {
            button: Arc::new(PowerButton(Mutex::new(Registers { state, sci }))),
        }
    }

    /// The byte at `offset`; 0 outside the registers.
    pub fn read(&mut self, offset: u8) -> u8 {
        let state = &self.button.registers().state;
        match offset {
            1 => u8::from(state.is_pressed) * POWER_BUTTON,
            ENABLE => state.enable[0],
            3 => state.enable[1],
            CONTROL => state.control[0] | SCI_EN,
            5 => state.control[1],
            // No other status bit is ever set.
            STATUS.. => 0,
        }
    }

    /// Takes a byte at `offset`; one that enters S5 asks for it.
    pub fn write(&mut self, offset: u8, value: u8) -> Option<PowerRequest> {
        let mut registers = self.button.registers();
        match offset {
            // A status bit is cleared by writing 1.
            1 => registers.change(|state| state.is_pressed &= value & POWER_BUTTON == 0),
            ENABLE => registers.state.enable[0] = value & ENABLE_BITS[0],
            3 => registers.change(|state| state.enable[1] = value & ENABLE_BITS[1]),
            CONTROL => registers.state.control[0] = value & CONTROL_BITS[0],
            5 => {
                registers.state.control[1] = value & CONTROL_BITS[1];
                let sleep_type = (value >> SLP_TYP_SHIFT) & SLP_TYP_MASK;
                let off = value & SLP_EN != 0 && sleep_type == S5_SLEEP_TYPE;
                return off.then_some(PowerRequest::Off);
            }
            STATUS.. => {}
        }
        None
    }
}

impl Device for Pm1 {
    fn read(&mut self, offset: u32, data: &mut [u8]) {
        read_bytes(offset, data, |at| Self::read(self, at));
    }

    fn write(&mut self, offset: u32, data: &[u8]) -> Option<PowerRequest> {
        write_bytes(offset, data, |at, value| Self::write(self, at, value))
    }

    fn save(&self) -> State {
        State::of(&self.button.registers().state)
    }

    fn restore(&mut self, state: &State) -> bool {
        let Some(saved) = state.fields::<Pm1State>() else {
            return false;
        };
        let masked = |bytes: [u8; 2], bits: [u8; 2]| [bytes[0] & bits[0], bytes[1] & bits[1]];
        self.button.registers().change(|state| {
            *state = Pm1State {
                is_pressed: saved.is_pressed,
                enable: masked(saved.enable, ENABLE_BITS),
                control: masked(saved.control, CONTROL_BITS),
            };
        });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::Noise;

    /// A 16-bit register, as the processor splits an `in`.
    fn word(pm1: &mut Pm1, offset: u8) -> u16 {
        u16::from_le_bytes([pm1.read(offset), pm1.read(offset + 1)])
    }

    fn write_word(pm1: &mut Pm1, offset: u8, value: u16) -> Vec<PowerRequest> {
        let bytes = value.to_le_bytes();
        let requests = [pm1.write(offset, bytes[0]), pm1.write(offset + 1, bytes[1])];
        requests.into_iter().flatten().collect()
    }

    #[test]
    fn acpi_mode_is_on_whatever_the_guest_writes() {
        let mut pm1 = Pm1::new(None);
        assert_eq!(word(&mut pm1, 4), 0x0001);
        assert_eq!(write_word(&mut pm1, 4, 0), []);
        assert_eq!(word(&mut pm1, 4), 0x0001);
    }

    #[test]
    fn linux_enters_s5_in_two_writes() {
        let mut pm1 = Pm1::new(None);
        let slp_typ = u16::from(S5_SLEEP_TYPE) << 10;
        assert_eq!(write_word(&mut pm1, 4, slp_typ | 1), []);
        assert_eq!(
            write_word(&mut pm1, 4, slp_typ | 1 << 13 | 1),
            [PowerRequest::Off]
        );
        assert_eq!(
            write_word(&mut Pm1::new(None), 4, 0x2000),
            [PowerRequest::Off]
        );
    }

    #[test]
    fn other_sleep_states_and_a_missing_slp_en_do_nothing() {
        let mut pm1 = Pm1::new(None);
        for slp_typ in 1..8 {
            assert_eq!(write_word(&mut pm1, 4, slp_typ << 10 | 1 << 13), []);
            // SLP_EN reads as 0.
            assert_eq!(word(&mut pm1, 4), slp_typ << 10 | 1);
        }
        assert_eq!(write_word(&mut pm1, 4, !(1 << 13)), []);
        // Status and enable hold no SLP_EN.
        assert_eq!(write_word(&mut pm1, 0, 0x2000), []);
        assert_eq!(write_word(&mut pm1, 2, 0x2000), []);
    }

    #[test]
    fn enable_bits_stay_and_status_is_quiet() {
        let mut pm1 = Pm1::new(None);
        write_word(&mut pm1, 0, 0xffff);
        write_word(&mut pm1, 2, 0xffff);
        assert_eq!(word(&mut pm1, 0), 0);
        assert_eq!(word(&mut pm1, 2), 0x4721);
        write_word(&mut pm1, 2, 0);
        assert_eq!(word(&mut pm1, 2), 0);
    }

    /// Keeps what it was set to, and counts how often.
    #[derive(Clone, Debug, Default)]
    struct Sci(Arc<Mutex<(bool, usize)>>);

    impl Level for Sci {
        fn set(&self, is_high: bool) {
            let mut line = self.0.lock().unwrap();
            *line = (is_high, line.1 + 1);
        }
    }

    #[test]
    fn the_button_raises_the_line_until_the_guest_has_cleared_its_status() {
        let sci = Sci::default();
        let line = || *sci.0.lock().unwrap();
        let mut pm1 = Pm1::new(Some(Box::new(sci.clone())));
        let button = Arc::clone(&pm1.button);
        // Who has not asked for it finds it in the status.
        button.press();
        assert_eq!((word(&mut pm1, 0), line()), (0x0100, (false, 0)));
        write_word(&mut pm1, 2, 0x0100);
        assert_eq!(line(), (true, 1));
        button.press();
        // Zeros and other bits clear nothing.
        write_word(&mut pm1, 0, 0xfeff);
        assert_eq!((word(&mut pm1, 0), line()), (0x0100, (true, 1)));
        write_word(&mut pm1, 0, 0x0100);
        assert_eq!((word(&mut pm1, 0), line()), (0, (false, 2)));
        button.press();
        assert_eq!(line(), (true, 3));
        write_word(&mut pm1, 2, 0);
        assert_eq!((word(&mut pm1, 0), line()), (0x0100, (false, 4)));
        write_word(&mut pm1, 2, 0x0100);
        // A restored one sets the line as its state wants it.
        let pressed = pm1.save();
        write_word(&mut pm1, 0, 0x0100);
        assert_eq!(line(), (false, 6));
        assert!(pm1.restore(&pressed));
        assert_eq!(line(), (true, 7));
        assert!(pm1.restore(&Pm1::new(None).save()));
        assert_eq!(line(), (false, 8));
    }

    #[test]
    fn only_slp_en_with_s5_asks_for_anything() {
        let mut noise = Noise::new(0x9e37_79b9);
        let mut pm1 = Pm1::new(None);
        for _ in 0..200_000 {
            let (offset, value) = (noise.byte(), noise.byte());
            let off = offset == 5 && value & 0x3c == 0x20;
            assert_eq!(pm1.write(offset, value), off.then_some(PowerRequest::Off));
            assert_eq!(pm1.read(4) & SCI_EN, SCI_EN);
            let outside = noise.byte();
            assert!((2..6).contains(&outside) || pm1.read(outside) == 0);
        }
    }
}
