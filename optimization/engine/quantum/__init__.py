"""QAOA and VQE on a subspace of qubits in which every portfolio is feasible by construction."""
