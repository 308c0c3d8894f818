"""Models with a code behind each picture: autoencoders and variational autoencoders (Kingma & Welling 2014, 1312.6114)."""
