// The gallery shows the cards whose locality and quantities are those that were chosen.
document.addEventListener("DOMContentLoaded", () => {
  const locality = document.getElementById("locality");
  const reads = document.getElementById("reads");
  if (!locality || !reads) return;
  const choose = () => {
    const wanted = reads.value.trim();
    for (const card of document.querySelectorAll(".card")) {  // one in each rule's section
      const fits = !locality.value || card.dataset.locality === locality.value;
      const shown = fits && (!wanted || card.dataset.reads.split(" ").includes(wanted));
      card.closest("section").hidden = !shown;
    }
  };
  locality.addEventListener("change", choose);
  reads.addEventListener("input", choose);
});
