//! The layer on the engines of this machine.

use dust_layer::{Disk, Memory};

use crate::walk::whole;

#[tokio::test]
async fn the_layer_holds_on_memory() {
    whole(&Memory::new()).await;
}

#[tokio::test]
async fn the_layer_holds_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    whole(&Disk::open(folder.path()).unwrap()).await;
}
