"""Fine-tune the two flows of SAM 3D Objects on objects whose truth is known.

    examples    what a training example is, on disk
    matching    flow matching: times, mixtures, dropped conditions
    structure   first stage: coarse shape and pose
    latent      second stage: structured latents on voxels
    finetune    from a folder of examples to a folder of weights

`docs/training.md` describes the files. The loop is `scenelift.training.loop`.
"""
