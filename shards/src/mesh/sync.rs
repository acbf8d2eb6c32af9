//! What the mesh shares between threads with: the standard library's, or loom's when the mesh is model-checked
//! (`--cfg loom`), which then tries every order in which the threads could see each other's steps.

#[cfg(not(loom))]
pub(super) use self::real::{Arc, AtomicBool, AtomicUsize, Event, UnsafeCell};
#[cfg(loom)]
pub(super) use super::model::{Arc, AtomicBool, AtomicUsize, Event, UnsafeCell};

#[cfg(not(loom))]
mod real {
    pub(in super::super) use std::sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize},
    };

    pub(in super::super) use crate::event::Event;

    /// The standard cell with loom's interface: access is a call, so that loom sees when it begins and ends.
    pub(in super::super) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        pub(in super::super) fn new(value: T) -> Self {
            Self(std::cell::UnsafeCell::new(value))
        }

        #[inline(always)]
        pub(in super::super) fn with_mut<R>(&self, access: impl FnOnce(*mut T) -> R) -> R {
            access(self.0.get())
        }
    }
}
