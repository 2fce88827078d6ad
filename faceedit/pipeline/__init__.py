"""CLIP-PAE on a diffusion model in the shape that the diffusers library gives its pipelines."""
