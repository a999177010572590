//! The engines against their suite, and the layer on them against its own.

mod memory {
    dust_layer::engine_suite!((dust_layer::Memory::new(), ()));

    mod layer {
        crate::layer::layer_suite!((dust_layer::Memory::new(), ()));
    }
}

mod disk {
    dust_layer::engine_suite!({
        let folder = tempfile::tempdir().unwrap();
        (dust_layer::Disk::open(folder.path()).unwrap(), folder)
    });

    mod layer {
        crate::layer::layer_suite!({
            // In memory where there is such a place: what is asked of the disk itself is asked elsewhere.
            let folder = tempfile::tempdir_in("/dev/shm")
                .or_else(|_| tempfile::tempdir())
                .unwrap();
            (dust_layer::Disk::open(folder.path()).unwrap(), folder)
        });
    }
}

mod disk_that_loses_what_is_not_synced {
    use dust_layer::disk::{Disk, Options};
    use dust_layer::faults::Faults;

    dust_layer::engine_suite!({
        let folder = tempfile::tempdir().unwrap();
        let options = Options::default().faults(Faults::losing_unsynced());
        (Disk::open_with(folder.path(), options).unwrap(), folder)
    });
}

mod instrumented {
    dust_layer::engine_suite!((dust_layer::Instrumented::new(dust_layer::Memory::new()), ()));
}
