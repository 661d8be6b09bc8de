//! No scheduler allocates to pick, and no pool to count. One test only, so that no other thread
//! allocates while it counts.

use std::alloc::{GlobalAlloc, Layout, System};
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lvs_sched::{DestinationConfig, Flow, Pool, Protocol, SchedulerFlags, SchedulerKind, Settings};

#[global_allocator]
static ALLOCATOR: counting::Counting = counting::Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

#[allow(unsafe_code)]
mod counting {
    use super::{ALLOCATIONS, GlobalAlloc, Layout, Ordering, System};

    #[derive(Debug)]
    pub(super) struct Counting;

    // SAFETY: everything is handed to the system's allocator as it is.
    unsafe impl GlobalAlloc for Counting {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
            // SAFETY: the caller keeps the contract of `alloc`, which is the same here.
            unsafe { System.alloc(layout) }
        }

        unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
            // SAFETY: `pointer` came from `System` by `alloc` above, with this layout.
            unsafe { System.dealloc(pointer, layout) }
        }
    }
}

fn flow(number: u16, now: u64) -> Flow {
    let [high, low] = number.to_be_bytes();
    Flow {
        src: Ipv4Addr::new(203, 0, high, low).into(),
        src_port: number,
        dst: Ipv4Addr::new(10, 0, 0, low % 16).into(),
        dst_port: 80,
        protocol: Protocol::Tcp,
        now: Duration::from_secs(now),
    }
}

#[test]
fn a_pick_does_not_allocate() {
    for kind in SchedulerKind::ALL {
        let flags = SchedulerFlags {
            fallback: true,
            port: true,
        };
        let mut pool = Pool::new(kind, Settings::from(flags), Duration::ZERO);
        for number in 0..100 {
            let config = DestinationConfig {
                weight: u32::from(number % 7),
                upper_threshold: 50,
                lower_threshold: 0,
            };
            pool.add(Ipv4Addr::new(192, 168, 0, number).into(), 80, config)
                .unwrap();
        }
        // lblc and lblcr get to know the addresses and servers; connections stay open.
        let mut bound = Vec::with_capacity(20_000);
        for number in 0..2000 {
            if let Some(id) = pool.pick(&flow(number, 1)) {
                pool.bind(id);
                pool.activate(id);
                bound.push(id);
            }
        }
        let avoid = [pool.destinations()[1].id, pool.destinations()[2].id];
        let _ = pool.pick_avoiding(&flow(1, 2), &avoid);

        // lblcr's sets still grow while load moves about; counts are held level instead.
        let learns = kind == SchedulerKind::LocalityLeastConnectionReplicated;
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        for number in 0..2000 {
            if let Some(id) = pool.pick(&flow(number, 3)) {
                pool.bind(id);
                pool.activate(id);
                pool.deactivate(id);
                pool.unbind(id);
            }
            if !learns {
                let _ = pool.pick_avoiding(&flow(number, 3), &avoid);
            }
        }
        for id in bound {
            pool.deactivate(id);
            pool.unbind(id);
        }
        if let Some(due) = pool.poll_timeout() {
            pool.handle_timeout(due);
        }
        let after = ALLOCATIONS.load(Ordering::Relaxed);
        assert_eq!(after - before, 0, "{kind}");
    }
    // The counter counts.
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    drop(std::hint::black_box(vec![1u8]));
    assert!(ALLOCATIONS.load(Ordering::Relaxed) > before);
}
