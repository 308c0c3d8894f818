"""Random changes of training images, whole batches at once; each is a pure function of (seed, epoch, sample id)."""
