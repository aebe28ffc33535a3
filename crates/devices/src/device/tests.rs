use super::*;
use crate::noise::Noise;
use crate::{Cmos, ControlA, FwCfg, FwCfgNumbers, I8042, Pm1, ResetControl};

fn chips() -> [Box<dyn Device>; 6] {
    [
        Box::new(I8042::new(None)),
        Box::new(Cmos::new(&[0..1 << 20, 1 << 32..1 << 33], 1)),
        Box::new(Pm1::new(None)),
        Box::new(ResetControl::new()),
        Box::new(ControlA::new()),
        Box::new(FwCfg::new(
            FwCfgNumbers {
                cpus: 1,
                no_graphics: true,
            },
            &[("a file".into(), b"its bytes".into())],
            &[],
        )),
    ]
}

/// One access that depends on nothing but the noise, and what came of it.
fn access(device: &mut dyn Device, noise: &mut Noise) -> (Option<PowerRequest>, u8) {
    let (offset, mut byte) = (noise.below(6) as u32, [noise.byte() & 0x7f]);
    if noise.below(2) == 0 {
        return (device.write(offset, &byte), 0);
    }
    // The clock's time is no state.
    device.write(0, &[0x40]);
    device.read(offset, &mut byte);
    (None, byte[0])
}

#[test]
fn a_restored_device_goes_on_as_the_one_that_was_saved() {
    for (mut device, mut other) in chips().into_iter().zip(chips()) {
        let mut noise = Noise::new(0x5eed);
        for round in 0..50 {
            for _ in 0..noise.below(20) {
                access(&mut *device, &mut noise);
            }
            assert!(other.restore(&device.save()), "{device:?}");
            assert_eq!(other.save(), device.save());
            let (mut one, mut two) = (Noise::new(round + 1), Noise::new(round + 1));
            for _ in 0..20 {
                let expected = access(&mut *device, &mut one);
                assert_eq!(access(&mut *other, &mut two), expected, "{device:?}");
            }
        }
    }
}

#[test]
fn the_state_of_another_kind_is_refused_and_changes_nothing() {
    let states: Vec<_> = chips().iter().map(|device| device.save()).collect();
    for (index, mut device) in chips().into_iter().enumerate() {
        let before = device.save();
        for (other, state) in states.iter().enumerate() {
            assert_eq!(device.restore(state), other == index);
        }
        assert!(!device.restore(&State::default()));
        for bytes in [
            before.bytes[1..].to_vec(),
            [&before.bytes[..], &[0]].concat(),
        ] {
            let kind = before.kind.clone();
            assert!(!device.restore(&State { kind, bytes }));
        }
        assert_eq!(device.save(), before);
    }
}

#[test]
fn what_bytes_from_anywhere_restore_is_a_state_of_the_device() {
    let mut noise = Noise::new(0xbad);
    for mut device in chips() {
        let good = device.save();
        for _ in 0..2_000 {
            let mut state = good.clone();
            let at = noise.below(state.bytes.len());
            state.bytes[at] = noise.byte();
            device.restore(&state);
            access(&mut *device, &mut noise);
            let now = device.save();
            assert!(device.restore(&now) && device.save() == now, "{device:?}");
        }
    }
}

#[test]
fn a_clock_shows_the_time_of_its_machine() {
    #[derive(Debug)]
    struct Noon;
    impl Clock for Noon {
        fn now(&self) -> Duration {
            Duration::from_secs(12 * 3600)
        }
    }
    struct Machine;
    impl Context for Machine {
        fn line(&mut self, _: u32) -> Option<Box<dyn Trigger + Send + Sync>> {
            None
        }

        fn memory(&self) -> Arc<dyn Memory> {
            unreachable!("a clock has no use for memory")
        }

        fn dma(&self) -> Arc<DmaMemory> {
            unreachable!("a clock has no use for memory")
        }

        fn clock(&self) -> Arc<dyn Clock> {
            Arc::new(Noon)
        }

        fn doorbell(&mut self, _: u32, _: Option<(u64, u8)>) -> Result<Arc<dyn Doorbell>, String> {
            Err("none".into())
        }
    }
    let mut cmos = Cmos::new(&[], 1);
    assert_eq!(Device::attach(&mut cmos, &mut Machine), Ok(()));
    Device::write(&mut cmos, 0, &[0x04]);
    let mut hours = [0];
    Device::read(&mut cmos, 1, &mut hours);
    assert_eq!(hours, [0x12]);
}
